# Prints what a machine is: its os-release, where the programs of package managers are, behind all links, and the digests of everything
# that says where packages come from and whom they are believed.
cat /etc/os-release 2>/dev/null || cat /usr/lib/os-release 2>/dev/null
printf '\n# programs\n'
for program in apt-get dnf zypper apk; do
  ! found=$(command -v $program) || echo "$program $(readlink -f "$found")"
done
echo '# sources'
find /etc/apt /usr/share/keyrings /etc/dnf /etc/yum.repos.d /etc/pki/rpm-gpg /etc/zypp /etc/apk -type f -print0 2>/dev/null |
  LC_ALL=C sort -z | xargs -0 -r sha256sum --
true
