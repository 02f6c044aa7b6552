# sh … FOLDER NAME…: what the repositories' lists below a folder have of these packages, element for element. A list that is packed in
# a way that nothing here can unpack has nothing.
folder=$1
shift
for list in "$folder"/*/repodata/*primary.xml*; do
  case $list in
    *.gz) gzip -dc "$list" ;;
    *.zst) zstd -dcq "$list" ;;
    *.xz) xz -dc "$list" ;;
    *.bz2) bzip2 -dc "$list" ;;
    *.zck) unzck --stdout "$list" ;;
    *) cat "$list" ;;
  esac
done 2>/dev/null | awk -v names=" $* " '
  BEGIN { RS = "</package>" }
  match($0, /<name>[^<]*<\/name>/) && index(names, " " substr($0, RSTART + 6, RLENGTH - 13) " ") { print $0 RS }'
