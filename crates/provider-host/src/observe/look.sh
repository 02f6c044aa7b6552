# What is to be seen of a machine, a section each: its boot, what listens, what runs, its services, file systems and
# the room there, networks, clock.
own=$(readlink /proc/self/ns/pid)
echo "== boot"
boot
cut -d' ' -f1 /proc/uptime
getconf CLK_TCK 2>/dev/null || echo 100
for table in tcp tcp6 udp udp6; do
  echo "== $table"
  [ ! -r "/proc/net/$table" ] || tail -n +2 "/proc/net/$table"
done
echo "== processes"
# Those in containers are targets of their own.
stat -c '%n %N' /proc/[0-9]*/ns/pid 2>/dev/null | grep -F "$own" | cut -d/ -f3 | while read -r pid; do
  [ "$pid" = $$ ] || { read -r line <"/proc/$pid/stat" && echo "$line"; } 2>/dev/null
done
echo "== services"
if [ -d /run/systemd/system ]; then
  echo "init systemd"
  systemctl list-unit-files --type=service --state=enabled --plain --no-legend 2>/dev/null | cut -d' ' -f1 | sed 's/^/enabled /'
  systemctl list-units --type=service --state=running --plain --no-legend 2>/dev/null | sed 's/^/running /'
  systemctl list-units --type=service --state=failed --plain --no-legend 2>/dev/null | sed 's/^/failed /'
fi
echo "== mounts"
# Those that somebody wants to be there; others come and go.
if [ -r /etc/fstab ]; then
  while read -r what place _; do
    case "$what $place" in '#'*) ;; *' /'*) grep -F -m 1 " $place " /proc/self/mounts ;; esac
  done </etc/fstab
fi
echo "== room"
for place in / /boot /var; do stat -f -c '%a %S %n' "$place"; done 2>/dev/null
for table in route ipv6_route; do
  echo "== $table"
  [ ! -r "/proc/net/$table" ] || cat "/proc/net/$table"
done
echo "== clock"
date +%s
