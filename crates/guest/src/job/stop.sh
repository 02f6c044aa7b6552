# sh stop.sh FOLDER UNIT: ends a job and everything it started.
dir=$1 unit=$2
[ -e "$dir/started" ] && [ ! -e "$dir/status" ] || exit 0
if [ -d /run/systemd/system ] && systemctl is-active --quiet "$unit"; then
  systemctl stop "$unit"
  exit 0
fi
tries=0
while all=$(members "$dir") && [ -n "$all" ]; do
  # shellcheck disable=SC2086 # one word a process
  case $tries in
    0) kill -TERM $all 2>/dev/null ;;
    900) kill -KILL $all 2>/dev/null ;;
    1000) exit 1 ;;
  esac
  tries=$((tries + 1))
  sleep 0.1
done
