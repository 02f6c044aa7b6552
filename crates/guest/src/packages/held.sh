# held FILE: says who holds a lock on it to change something, as the kernel lists them; fails where nobody does.
held() {
  inode=$(stat -c %i "$1" 2>/dev/null) || return 1
  # 1: POSIX  ADVISORY  WRITE 42 fe:00:1234 0 EOF
  while read -r _ _ _ access pid place _; do
    if [ "$access" = WRITE ] && [ "${place##*:}" = "$inode" ]; then
      echo "process $pid ($(cat "/proc/$pid/comm" 2>/dev/null))"
      return 0
    fi
  done </proc/locks
  return 1
}
