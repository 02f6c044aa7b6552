# The part of guest-dnf and guest-zypper that is the same: packages, a repository, 1.0 of them installed.
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb
mkdir -p /repo /lab/spec
# Debian keeps root's rpm database in root's home; other systems, and zypper here too, keep it there:
mkdir -p /etc/rpm
echo '%_dbpath /var/lib/rpm' >/etc/rpm/macros

package() { # NAME VERSION [LINE…]: lines of the preamble; $install, $files and $post besides
  name=$1 version=$2
  shift 2
  {
    printf '%s\n' "Name: $name" "Version: $version" 'Release: 1' 'Summary: a package to practise on' 'License: none' 'BuildArch: noarch' "$@"
    printf '%s\n' '%description' 'A package to practise on.' '%install' "mkdir -p %{buildroot}/usr/share/$name" \
      "echo $version >%{buildroot}/usr/share/$name/version" "${install:-}" '%files' "/usr/share/$name/version" "${files:-}"
    [ -z "${post:-}" ] || printf '%s\n' '%post' "$post"
  } >/lab/spec/$name.spec
  rpmbuild -bb --quiet --define '_topdir /lab/build' --define '_rpmdir /repo' --define '_build_id_links none' \
    --define '__os_install_post %{nil}' /lab/spec/$name.spec
  install='' files='' post=''
}

for version in 1.0 1.1 1.2; do
  install="mkdir -p %{buildroot}/etc; echo default of $version >%{buildroot}/etc/lab-tool.conf" files='%config(noreplace) /etc/lab-tool.conf'
  package lab-tool $version
done
for version in 1.0 1.1; do
  install='mkdir -p %{buildroot}/usr/lib/lab; cp /usr/lib/*-linux-gnu*/libutil.so.1 %{buildroot}/usr/lib/lab/liblab.so' files=/usr/lib/lab/liblab.so
  package lab-lib $version 'AutoReqProv: no'
done
package lab-needs 1.0 'Requires: lab-lib'
package lab-needs 1.1 'Requires: lab-lib >= 1.1'
package lab-victim 1.0
package lab-rival 1.0
package lab-rival 1.1 'Conflicts: lab-victim'
package lab-slow 1.0
post='echo lab-slow waits; while [ ! -e /run/lab-go ]; do sleep 0.1; done; echo lab-slow goes on'
package lab-slow 1.1
package lab-broken 1.0
# A %post that fails does not fail an rpm transaction; a %pre does.
post='if [ ! -e /run/lab-mended ]; then echo "lab-broken: cannot migrate its data" >&2; exit 1; fi'
package lab-broken 1.1

# sh is dpkg's here: rpm's database would not know of it.
package lab-base 1.0 'Provides: /bin/sh'

createrepo_c --quiet /repo
rpm -i /repo/noarch/*-1.0-1.noarch.rpm
