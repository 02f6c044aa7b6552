# sh FOLDER MOST INPUT PROGRAM…: runs the program and ends with a line of ours behind its complaints.
# The first MiB of its output is handed on; what follows, at most MOST bytes, is kept in the folder: an answer
# of the agent has to be small. Its input is the folder's file "in" where INPUT is "in". Of its complaints the
# end is handed on.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
folder=$1 most=$2 input=$3
shift 3
[ "$input" != in ] || exec <"$folder/in"
keep() {
    dd bs=65536 count=16 iflag=fullblock 2>/dev/null >&5
    # Only a byte more makes a file: most programs need none, and a full disk does not stop them.
    next=$(dd bs=1 count=1 2>/dev/null | od -An -to1 | tr -d ' ')
    [ -n "$next" ] || return 0
    # A folder that is there and is not ours is nobody we write for.
    [ "$input" = in ] || mkdir -m 700 "$folder" || { echo lost >&4; return 0; }
    { printf "\\$next"; head -c "$most"; } >"$folder/out" || { echo lost >&4; return 0; }
    echo rest $(wc -c <"$folder/out") >&4
}
exec 5>&1
said=$( { { { "$@" 4>&- 5>&-; echo code $? >&4; } 2>&3 3>&- | keep 3>&-; } 3>&1 | tail -c 65536 >&2; } 4>&1)
echo >&2
echo patchyard-ended $said >&2
