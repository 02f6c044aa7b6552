# sh … FOLDER NAME…: what the repositories' lists below a folder have of these packages, element for element. A list that is packed in
# a way that nothing here can unpack has nothing.
folder=$1
shift
# Those of a repository that has moved stay, in a folder of the same name with another hash behind it: the newest counts.
seen=' '
ls -td "$folder"/*/ | while read -r place; do
  id=${place%/}
  id=${id##*/}
  case $id in *-????????????????) id=${id%-*} ;; esac
  case $seen in *" $id "*) continue ;; esac
  seen="$seen$id "
  for list in "$place"repodata/*primary.xml*; do
    case $list in
      *.gz) gzip -dc "$list" ;;
      *.zst) zstd -dcq "$list" ;;
      *.xz) xz -dc "$list" ;;
      *.bz2) bzip2 -dc "$list" ;;
      *.zck) unzck --stdout "$list" ;;
      *) cat "$list" ;;
    esac
  done
done 2>/dev/null | awk -v names=" $* " '
  BEGIN { RS = "</package>" }
  match($0, /<name>[^<]*<\/name>/) && index(names, " " substr($0, RSTART + 6, RLENGTH - 13) " ") { print $0 RS }'
