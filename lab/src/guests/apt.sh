# Run inside the image that is to be patchyard-lab/guest-apt:1; see lab/guests.
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q install -y apt-utils openssh-server sudo systemd systemd-sysv dbus procps
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb /etc/ssh/ssh_host_*

tree=/lab/tree
package() { # NAME VERSION [FIELD…]: what lies in $tree besides
  name=$1 version=$2
  shift 2
  mkdir -p "$tree/DEBIAN" "$tree/usr/share/$name" /repo
  echo "$version" >"$tree/usr/share/$name/version"
  printf '%s\n' "Package: $name" "Version: $version" 'Architecture: all' 'Maintainer: Patchyard Lab <lab@example.invalid>' \
    "$@" 'Description: a package to practise on' >"$tree/DEBIAN/control"
  dpkg-deb --root-owner-group -Znone --build "$tree" /repo >/dev/null
  rm -rf "$tree"
}
script() { # BODY
  mkdir -p "$tree/DEBIAN"
  printf '#!/bin/sh\nset -e\n%s\n' "$1" >"$tree/DEBIAN/postinst"
  chmod 755 "$tree/DEBIAN/postinst"
}

for version in 1.0 1.1 1.2; do
  mkdir -p "$tree/etc" "$tree/DEBIAN"
  echo "default of $version" >"$tree/etc/lab-tool.conf"
  echo /etc/lab-tool.conf >"$tree/DEBIAN/conffiles"
  package lab-tool $version
done
for version in 1.0 1.1; do
  mkdir -p "$tree/usr/lib/lab"
  cp /usr/lib/*-linux-gnu*/libutil.so.1 "$tree/usr/lib/lab/liblab.so"
  package lab-lib $version
done
package lab-needs 1.0 'Depends: lab-lib'
package lab-needs 1.1 'Depends: lab-lib (>= 1.1)'
package lab-victim 1.0
package lab-rival 1.0
package lab-rival 1.1 'Conflicts: lab-victim'
package lab-slow 1.0
script 'echo lab-slow waits; while [ ! -e /run/lab-go ]; do sleep 0.1; done; echo lab-slow goes on'
package lab-slow 1.1
package lab-broken 1.0
script 'if [ ! -e /run/lab-mended ]; then echo "lab-broken: cannot migrate its data" >&2; exit 1; fi'
package lab-broken 1.1

(cd /repo && apt-ftparchive packages . >Packages)
dpkg -i /repo/*_1.0_all.deb
echo 'deb [trusted=yes] file:/repo ./' >/etc/apt/sources.list

# Its host key is made when it is started: every machine has its own.
rm -f /usr/sbin/policy-rc.d
for user in ops asked nobody-special; do useradd --create-home --shell /bin/bash "$user"; done
echo asked:lab | chpasswd
echo 'ops ALL=(ALL:ALL) NOPASSWD: ALL' >/etc/sudoers.d/lab
echo 'asked ALL=(ALL:ALL) ALL' >>/etc/sudoers.d/lab
mkdir -p /run/sshd
# Nothing of this machine's hardware is theirs.
systemctl mask systemd-udevd.service systemd-udev-trigger.service systemd-modules-load.service systemd-logind.service getty.target \
  console-getty.service sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount \
  apt-daily.timer apt-daily-upgrade.timer 2>/dev/null
rm -rf /lab /var/log/apt /var/log/dpkg.log
