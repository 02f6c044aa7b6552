# sh apk_exactly.sh WAIT VIRTUAL NEED…: changes packages to exact versions by a virtual package that needs them, and takes that one out
# again, whatever has become of it: /etc/apk/world is as it was.
wait=$1 virtual=$2
shift 2
# A configuration file that somebody changed stays as it is; the package's own lies beside it. That is told: apk 2 does not.
left() { find /etc -xdev -name '*.apk-new' -exec ls -di {} + 2>/dev/null | sed 's/^ *//'; }
before=$(left)
got=0
apk --wait "$wait" --cache-max-age 525600 add --virtual "$virtual" "$@" || got=$?
# Its name begins with a dot.
if grep -q "^\\$virtual=" /etc/apk/world; then
  apk --wait "$wait" --cache-max-age 525600 del "$virtual" || { gone=$?; [ "$got" -ne 0 ] || got=$gone; }
fi
left | while read -r inode file; do
  case "
$before
" in
    *"
$inode $file
"*) ;;
    *) echo "${file%.apk-new} was changed by somebody and stays; the package's own is $file" ;;
  esac
done
exit "$got"
