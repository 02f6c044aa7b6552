# sh apk_at_work.sh CODE: ends with CODE, and says who it is, while apk changes packages.
for file in /usr/lib/apk/db/lock /lib/apk/db/lock; do
  if held "$file"; then exit "$1"; fi
done
exit 0
