# Run inside the image that is to be patchyard-lab/guest-dnf5:1; see lab/guests.
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q install -y procps rpm createrepo-c zstd dnf5
. /lab/rpm.sh
# rpm 6 runs scripts in name spaces of their own, which a container may not make.
echo '%__transaction_unshare %{nil}' >>/etc/rpm/macros
# As in Fedora.
[ -e /usr/bin/dnf ] || ln -s dnf5 /usr/bin/dnf
mkdir -p /etc/yum.repos.d /etc/dnf/vars
echo 42 >/etc/dnf/vars/releasever
printf '%s\n' '[lab]' 'name=lab' 'baseurl=file:///repo' 'enabled=1' 'gpgcheck=0' >/etc/yum.repos.d/lab.repo
rm /etc/os-release
printf '%s\n' 'ID=fedora' 'VERSION_ID=42' 'PRETTY_NAME="Lab Linux 42 (dnf 5)"' >/etc/os-release
rm -rf /lab
