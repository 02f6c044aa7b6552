# What rpm was interrupted in: packages that are there twice, in the version that came and the one that should have gone. Prints the latter.
# Of some, such as kernels, there may be several: they say so, or the package manager's configuration does.
several=$(sed -n 's/^ *\(installonlypkgs\|multiversion\) *= *//p' /etc/dnf/dnf.conf /etc/zypp/zypp.conf 2>/dev/null | tr ',\n' '  ')
rpm -qa --qf '%{NAME}.%{ARCH}\n' | sort | uniq -d | while read -r package; do
  case $package in gpg-pubkey.*) continue ;; esac
  case " $several " in *" ${package%.*} "*) continue ;; esac
  ! rpm -q --qf '[%{PROVIDENAME}\n]' "$package" | grep -Eq '^(installonlypkg|multiversion)\(' || continue
  rpm -q --qf '%{INSTALLTIME} %{DBINSTANCE} %{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}\n' "$package" | sort -n -k 1 -k 2 | sed '$d' | cut -d' ' -f3
done
