# shellcheck shell=bash
# Makes what the lab's machines start from: a disk, a kernel, an initrd. Sourced by lab/machine.

# Loaded in this order. The file systems and the serial port are in the kernel.
modules=(virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk virtio_console failover net_failover
  virtio_net virtio-rng autofs4)

build() { # TAR
  local work=$LAB_CACHE/machines/build.$$ log=$LAB_CACHE/machine.log
  # shellcheck disable=SC2064  # expand now: work is local
  trap "rm -rf '$work'" EXIT
  say "building the machine's disk (some minutes, once)"
  mkdir -p "$work/root/lab" "$work/image" "$work/initrd/modules"
  tar -C "$work/root" -xf "$1"
  cp "$src"/* "$guest" "$work/root/lab/"
  inside "$work/root" "${own_kernel:+grub}" >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    die "the machine's disk cannot be built; the log is $log"
  }
  mv "$work/root/kernel" "$work/kernel"
  if [ -n "$own_kernel" ]; then
    disk_with_grub "$work"
  else
    mv "$work"/kernel/boot/vmlinuz-* "$work/image/vmlinuz"
    initrd "$work"
    mkfs.ext4 -q -L lab -d "$work/root" "$work/image/disk.raw" 1G
  fi
  chmod 444 "$work"/image/*
  forget "$LAB_CACHE/machines" '*image-*'
  mv "$work/image" "$image"
  rm -rf "$work"
  trap - EXIT
}

# GRUB's first part in the first sector, its second one in those behind it, and one partition.
disk_with_grub() { # WORK
  local disk=$1/image/disk.raw
  mv "$1"/root/{core,boot}.img "$1/"
  mkfs.ext4 -q -L lab -E offset=$((2048 * 512)) -d "$1/root" "$disk" 2000M
  truncate -s 2G "$disk"
  echo 'start=2048, type=83, bootable' | sfdisk -q "$disk"
  dd if="$1/boot.img" of="$disk" bs=440 count=1 conv=notrunc status=none
  dd if="$1/core.img" of="$disk" bs=512 seek=1 conv=notrunc status=none
}

# In namespaces of its own: what is mounted and what still runs ends with it.
inside() { # ROOT [grub]
  # shellcheck disable=SC2016  # $1 is the inner shell's
  unshare --mount --pid --fork --kill-child env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -ec '
    mount -t proc proc "$1/proc"
    mount -t tmpfs dev "$1/dev"
    ln -s /proc/self/fd "$1/dev/fd"
    for node in null zero full random urandom tty; do
      : >"$1/dev/$node"
      mount --bind "/dev/$node" "$1/dev/$node"
    done
    exec chroot "$1" sh -ec ". /lab/$2.sh"' sh "$1" "${2:-machine}"
}

# As small as it can be: it is unpacked by an emulated processor.
initrd() { # WORK
  local name path
  for name in "${modules[@]}"; do
    path=$(find "$1/kernel/lib/modules" -name "$name.ko")
    [ -f "$path" ] || die "the kernel has no module $name"
    cp "$path" "$1/initrd/modules/"
  done
  printf '%s\n' "${modules[@]}" >"$1/initrd/modules/order"
  cp "$(command -v busybox)" "$1/initrd/busybox"
  install -m 755 "$src/init" "$1/initrd/init"
  mkdir "$1"/initrd/{proc,sys,dev,root}
  (cd "$1/initrd" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1) >"$1/image/initrd"
}
