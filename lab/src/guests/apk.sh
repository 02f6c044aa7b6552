# Run inside the image that is to be patchyard-lab/guest-apk:1; see lab/guests.
# The index is the system's architecture's, packages lie with their own.
mkdir -p /repo/x86_64 /repo/noarch /lab
# Who signs packages is no matter here.
echo allow-untrusted >/etc/apk/config
echo 'v3 /repo' >/etc/apk/repositories

package() { # NAME VERSION [FIELD:VALUE…]: what lies in /lab/tree besides; $script is run after an upgrade
  name=$1 version=$2
  shift 2
  mkdir -p "/lab/tree/usr/share/$name"
  echo "$version" >"/lab/tree/usr/share/$name/version"
  set -- --info "name:$name" --info "version:$version-r0" --info arch:noarch --info 'description:a package to practise on' \
    --info license:none --info "origin:$name" "$@"
  if [ -n "${script:-}" ]; then
    printf '#!/bin/sh\n%s\n' "$script" >/lab/script
    set -- "$@" --script post-upgrade:/lab/script
  fi
  apk mkpkg --files /lab/tree --output "/repo/noarch/$name-$version-r0.apk" "$@"
  rm -rf /lab/tree /lab/script
  script=''
}

for version in 1.0 1.1 1.2; do
  mkdir -p /lab/tree/etc
  echo "default of $version" >/lab/tree/etc/lab-tool.conf
  package lab-tool $version
done
for version in 1.0 1.1; do
  mkdir -p /lab/tree/usr/lib/lab
  cp /usr/lib/libapk.so.* /lab/tree/usr/lib/lab/liblab.so
  package lab-lib $version
done
package lab-needs 1.0 --info depends:lab-lib
package lab-needs 1.1 --info 'depends:lab-lib>=1.1'
package lab-victim 1.0
package lab-rival 1.0
package lab-rival 1.1 --info 'depends:!lab-victim'
package lab-slow 1.0
script="echo lab-slow waits; sh -c 'while [ ! -e /run/lab-go ]; do sleep 0.1; done'; echo lab-slow goes on"
package lab-slow 1.1
package lab-broken 1.0
script='if [ ! -e /run/lab-mended ]; then echo "lab-broken: cannot migrate its data" >&2; exit 1; fi'
package lab-broken 1.1
# What another needs comes in with it, and goes with it.
package grown 1.0
package grown 1.1 --info depends:sprout
package sprout 1.0

apk mkndx --output /repo/x86_64/Packages.adb /repo/noarch/*.apk
apk add lab-tool=1.0-r0 lab-lib=1.0-r0 lab-needs=1.0-r0 lab-victim=1.0-r0 lab-rival=1.0-r0 lab-slow=1.0-r0 lab-broken=1.0-r0 grown=1.0-r0
# As one has them who has asked for them by name; what another needs is nobody's wish.
sed -i '/^lab-lib=/d; s/^\(lab-.*\|grown\)=.*/\1/' /etc/apk/world
rm -rf /lab
