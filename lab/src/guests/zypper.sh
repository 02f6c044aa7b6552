# Run inside the image that is to be patchyard-lab/guest-zypper:1; see lab/guests.
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q install -y procps rpm createrepo-c zypper
. /lab/rpm.sh
mkdir -p /etc/zypp/repos.d
printf '%s\n' '[lab]' 'name=lab' 'baseurl=file:///repo' 'enabled=1' 'autorefresh=1' 'gpgcheck=0' >/etc/zypp/repos.d/lab.repo
rm /etc/os-release
printf '%s\n' 'ID="opensuse-leap"' 'VERSION_ID="15.4"' 'PRETTY_NAME="Lab Leap 15.4 (zypper)"' >/etc/os-release
rm -rf /lab
