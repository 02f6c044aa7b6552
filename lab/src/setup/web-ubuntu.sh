# What Ubuntu's own image has besides: its name, and how its apt is set up for containers.
cat >/usr/lib/os-release <<'END'
PRETTY_NAME="Ubuntu 24.04.3 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION="24.04.3 LTS (Noble Numbat)"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=noble
END
cd /etc/apt/apt.conf.d
cat >01-vendor-ubuntu <<'END'
Acquire::Changelogs::AlwaysOnline "true";
Acquire::http::User-Agent-Non-Interactive "true";
END
cat >docker-clean <<'END'
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
END
cat >docker-gzip-indexes <<'END'
Acquire::GzipIndexes "true";
Acquire::CompressionTypes::Order:: "gz";
END
echo 'Acquire::Languages "none";' >docker-no-languages
echo 'Apt::AutoRemove::SuggestsImportant "false";' >docker-autoremove-suggests
