# Run inside the image that is to be patchyard-lab/guest-dnf:1; see lab/guests.
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q install -y procps rpm createrepo-c dnf dnf-plugins-core
. /lab/rpm.sh
mkdir -p /etc/yum.repos.d /etc/dnf/vars
echo 37 >/etc/dnf/vars/releasever
# A plugin that offers what was once installed as a repository of its own.
sed -i 's/^enabled.*/enabled = false/' /etc/dnf/plugins/local.conf
printf '%s\n' '[lab]' 'name=lab' 'baseurl=file:///repo' 'enabled=1' 'gpgcheck=0' >/etc/yum.repos.d/lab.repo
rm /etc/os-release
printf '%s\n' 'ID=fedora' 'VERSION_ID=37' 'PRETTY_NAME="Lab Linux 37 (dnf)"' >/etc/os-release
rm -rf /lab
