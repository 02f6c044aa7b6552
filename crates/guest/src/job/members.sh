# members FOLDER: prints the processes of a job that are alive.
#
# Whoever is of its session counts: the leader may have been killed while what it started is still at work. A leader that
# began at another time is another's, as after a restart of a container.
members() {
  read -r pid began boot <"$1/started" || return 0
  [ "$boot" = "$(cat /proc/sys/kernel/random/boot_id)" ] || return 0
  for stat in "/proc/$pid/stat" /proc/[0-9]*/stat; do
    read -r line 2>/dev/null <"$stat" || continue
    member=${line%% *}
    # shellcheck disable=SC2086 # splitting into fields is the point
    set -- ${line##*) }
    [ "$member" != "$pid" ] || [ "${20}" = "$began" ] || return 0
    [ "$4" != "$pid" ] || [ "$1" = Z ] || echo "$member"
  done
}

