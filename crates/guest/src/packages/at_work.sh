# sh at_work.sh CODE [COMMAND…]: ends with CODE, and says who it is, while dnf or rpm changes packages; else as the command does.
code=$1
shift
# In a job's output it stands without an explanation.
says=${1:+its lock is held by }
for file in /var/lib/dnf/rpmdb_lock.pid /var/cache/dnf/metadata_lock.pid /var/cache/dnf/download_lock.pid; do
  read -r pid 2>/dev/null <"$file" || continue
  case $pid in '' | *[!0-9]*) continue ;; esac
  if [ -d "/proc/$pid" ]; then
    echo "${says}process $pid ($(cat "/proc/$pid/comm"))"
    exit "$code"
  fi
done
# dnf 5's, and rpm's own.
for file in /run/dnf/rpmtransaction.lock "$(rpm --eval '%{_dbpath}')/.rpm.lock"; do
  if who=$(held "$file"); then
    echo "$says$who"
    exit "$code"
  fi
done
[ $# -eq 0 ] || exec "$@"
