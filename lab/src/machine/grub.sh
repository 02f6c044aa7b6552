# Run inside what is to be the disk of a machine that starts its own kernel; see lab/machine. The older one of the archive's kernels is
# installed, the newer one lies in /repo, beside what leads back.
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
versions=$(apt-cache madison linux-image-cloud-amd64 | awk '{ print $3 }' | sort -Vu)
old=$(echo "$versions" | head -n 1) new=$(echo "$versions" | tail -n 1)
[ "$old" != "$new" ] || { echo "the archive has one version of the kernel only: $new" && exit 1; }
apt-get -q install -y --no-install-recommends initramfs-tools grub-pc-bin grub2-common
# What it needs to see its disk and to be asked; the file systems and the serial port are in the kernel.
echo MODULES=list >/etc/initramfs-tools/conf.d/lab
printf '%s\n' virtio_pci virtio_blk virtio_console virtio_net virtio-rng autofs4 >>/etc/initramfs-tools/modules
apt-get -q install -y --no-install-recommends "linux-image-cloud-amd64=$old"
mkdir -p /repo
(cd /repo && apt-get -q download "linux-image-cloud-amd64=$old" "linux-image-cloud-amd64=$new" "$(apt-cache show "linux-image-cloud-amd64=$new" | sed -n 's/^Depends: \([^ ]*\).*/\1/p')")

# As grub-install leaves it, which wants to see the disk; update-grub does the same from then on.
mkdir -p /boot/grub /etc/default
cp -r /usr/lib/grub/i386-pc /boot/grub/
grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -o /core.img biosdisk part_msdos ext2 search search_fs_uuid linux normal configfile
cp /usr/lib/grub/i386-pc/boot.img /boot.img
printf '%s\n' GRUB_DEFAULT=0 GRUB_TIMEOUT=0 GRUB_DISABLE_OS_PROBER=true 'GRUB_CMDLINE_LINUX="rw console=ttyS0"' >/etc/default/grub
cd /boot
printf '%s\n' "linux /boot/$(ls vmlinuz-*) root=/dev/vda1 rw console=ttyS0 quiet" "initrd /boot/$(ls initrd.img-*)" boot >/boot/grub/grub.cfg
echo '/dev/vda1 / ext4 rw 0 0' >/etc/fstab
cd /
. /lab/machine.sh
