# Run inside what is to be the machine's disk; see lab/machine. What a guest of the lab has, and an agent.
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q install -y qemu-guest-agent iproute2
kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: //p')
mkdir /kernel
(cd /kernel && apt-get -q download "$kernel" && dpkg-deb --fsys-tarfile ./*.deb | tar -xf - ./boot ./lib/modules)
# Without udev nobody tells systemd that the agent's port is there; it is from the start.
cp /lab/qemu-guest-agent.service /etc/systemd/system/

# On a busy host an emulated processor stands still for minutes: nothing is given up on for that,
# and the journal is kept in memory.
mkdir -p /etc/systemd/system.conf.d /etc/systemd/system/systemd-journald.service.d
printf '[Manager]\nDefaultTimeoutStartSec=infinity\n' >/etc/systemd/system.conf.d/lab.conf
printf '[Service]\nWatchdogSec=0\n' >/etc/systemd/system/systemd-journald.service.d/lab.conf
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\n' >/etc/systemd/journald.conf.d/lab.conf

. /lab/apt.sh

systemctl enable qemu-guest-agent.service
# What nothing here needs, and an emulated processor is slow at. Host keys of SSH's are nobody's.
systemctl mask ssh.service systemd-binfmt.service systemd-journal-flush.service systemd-pstore.service systemd-random-seed.service systemd-sysctl.service \
  systemd-update-utmp.service systemd-update-utmp-runlevel.service kmod-static-nodes.service dev-mqueue.mount dpkg-db-backup.timer \
  e2scrub_all.timer e2scrub_reap.service fstrim.timer 2>/dev/null
rm -f /etc/apt/apt.conf.d/90lab-mirror /etc/resolv.conf
