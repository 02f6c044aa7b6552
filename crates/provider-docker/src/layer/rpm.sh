# sh … FOLDER QUERY…: puts the packages whose files are in FOLDER/rpms in place of others, exactly those, and leaves what the command QUERY
# prints then in FOLDER/installed.
folder=$1
shift
# Their signatures were looked at where their repositories are known; the keys may be unknown here. One that would be put in the place of
# a newer one is meant to be.
rpm -U -v --oldpackage --nosignature "$folder"/rpms/*.rpm 2>"$folder/errors"
code=$?
errors=$(cat "$folder/errors")
echo "$errors" >&2
[ $code -eq 0 ] || exit $code
# Of scripts that run behind the files rpm only says that they failed.
case $errors in *' scriptlet failed, '*) exit 1 ;; esac
"$@" >"$folder/installed"
