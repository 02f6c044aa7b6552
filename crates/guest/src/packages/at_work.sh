# sh at_work.sh CODE: ends with CODE, and says who it is, while dnf or rpm changes packages.
for file in /var/lib/dnf/rpmdb_lock.pid /var/cache/dnf/metadata_lock.pid /var/cache/dnf/download_lock.pid; do
  read -r pid 2>/dev/null <"$file" || continue
  case $pid in '' | *[!0-9]*) continue ;; esac
  if [ -d "/proc/$pid" ]; then
    echo "process $pid ($(cat "/proc/$pid/comm"))"
    exit "$1"
  fi
done
inode=$(stat -c %i "$(rpm --eval '%{_dbpath}')/.rpm.lock" 2>/dev/null) || exit 0
# 1: POSIX  ADVISORY  WRITE 42 fe:00:1234 0 EOF
while read -r _ _ _ access pid place _; do
  if [ "$access" = WRITE ] && [ "${place##*:}" = "$inode" ]; then
    echo "process $pid ($(cat "/proc/$pid/comm" 2>/dev/null))"
    exit "$1"
  fi
done </proc/locks
exit 0
