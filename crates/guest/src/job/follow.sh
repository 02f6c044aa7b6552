# sh follow.sh FOLDER FIRST MOST: how a job is, in a line; then at most MOST bytes of its output, from byte FIRST on.
dir=$1 first=$2 most=$3
state=lost
if [ ! -e "$dir/started" ]; then
  state=missing
elif [ ! -e "$dir/status" ] && [ -n "$(members "$dir")" ]; then
  state=running
fi
# It may have ended just now; what it printed before is complete then.
[ ! -e "$dir/status" ] || state="ended $(cat "$dir/status")"
echo "$state"
[ ! -e "$dir/output" ] || tail -c "+$first" "$dir/output" | head -c "$most"
