# sh … LIST COMMAND…: runs a command, then gives every file that LIST (a command, with blanks between its words) prints another time, one
# second later: engines that find a layer by comparing files take those of the same size and time for unchanged, and packages are built
# so that two versions of a file may have both in common.
list=$1
shift
"$@" || exit
# shellcheck disable=SC2086  # words of a command
$list | sort -u | while IFS= read -r file; do
  if [ -f "$file" ] || [ -L "$file" ]; then touch -c -h -r "$file" -d '+1 second' "$file" || exit; fi
done
