# boot: says by what a machine is known until it is started anew: the kernel's boot id, and since when its first process runs
# (proc(5), field 22 of its stat), as a system container is started anew under the same kernel.
boot() {
  boot=$(cat /proc/sys/kernel/random/boot_id) && read -r stat </proc/1/stat && set -- ${stat##*) } && echo "$boot ${20}"
}
