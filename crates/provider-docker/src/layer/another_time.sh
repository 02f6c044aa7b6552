# sh … PACKAGES COMMAND…: runs a command, then gives every file of these packages (a list with blanks between them) another time, one
# second later: engines that find a layer by comparing files take those of the same size and time for unchanged, and packages are built
# so that two versions of a file may have both in common.
packages=$1
shift
"$@" || exit
# shellcheck disable=SC2086  # a list
dpkg-query -L $packages | sort -u | while IFS= read -r file; do
  if [ -f "$file" ] || [ -L "$file" ]; then touch -c -h -r "$file" -d '+1 second' "$file" || exit; fi
done
