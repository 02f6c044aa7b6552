# A job of Patchyard's. Its folder is $1; whoever writes `started` first is the one that runs.
dir=$1
cd /
umask 022
trap '' HUP
# PID, start time and boot tell a living process from another that was given the same number.
stat=$(cat "/proc/$$/stat")
# shellcheck disable=SC2086 # splitting into fields is the point
set -- ${stat##*) }
echo "$$ ${20} $(cat /proc/sys/kernel/random/boot_id)" >"$dir/started.$$"
ln "$dir/started.$$" "$dir/started" 2>/dev/null || dir_is_taken=1
rm -f "$dir/started.$$"
[ -z "${dir_is_taken:-}" ] || exit 0
exec >>"$dir/output" 2>&1 </dev/null

# Says how it ended, whole or not at all.
finish() {
  echo "$1" >"$dir/status.new"
  sync
  mv "$dir/status.new" "$dir/status"
  exit "$1"
}

# judge CODE FINE…: what a step has ended with ends the job, unless it is fine.
judge() {
  got=$1
  shift
  for fine; do [ "$got" -ne "$fine" ] || return 0; done
  finish "$got"
}

# again CODE SECONDS COMMAND…: until it ends with something else, or time is up.
again() {
  code=$1 until=$(($(date +%s) + $2))
  shift 2
  while :; do
    got=0
    "$@" || got=$?
    [ "$got" -eq "$code" ] && [ "$(date +%s)" -lt "$until" ] || return "$got"
    sleep 1
  done
}

