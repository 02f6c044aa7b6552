# sh start.sh FOLDER UNIT <COMMANDS: starts a job, unless it was started before.
set -eu
umask 077
dir=$1 unit=$2
mkdir -p "$dir"
[ ! -e "$dir/started" ] || exit 0
cat >"$dir/commands.$$"
mv "$dir/commands.$$" "$dir/commands"
patience=300
if [ -d /run/systemd/system ]; then
  # Another starter may have been first with the unit: it is the same job, and begins all the same.
  systemd-run --quiet --collect --unit="$unit" --description="Patchyard: ${unit%.service}" \
    /bin/sh "$dir/commands" "$dir" </dev/null || patience=50
else
  setsid sh "$dir/commands" "$dir" </dev/null >/dev/null 2>&1 &
fi
tries=0
while [ ! -e "$dir/started" ]; do
  tries=$((tries + 1))
  if [ "$tries" -ge "$patience" ]; then
    echo "it did not begin within $((patience / 10)) s" >&2
    exit 75
  fi
  sleep 0.1
done
