#!/bin/sh
# PostgreSQL, its data in the volume at /data, and lab-web beside it: the part that is patched. Like any server whose versions have
# formats of their own, it turns older data into its own, and does not start on newer.
set -eu
own=$(dpkg-query -W -f '${Version}' lab-web)
found=$(cat /data/format 2>/dev/null || echo "$own")
if dpkg --compare-versions "$found" gt "$own"; then
    echo "lab-postgres $own: the data was written by version $found, which this one cannot read" >&2
    exit 1
fi
as='setpriv --reuid=postgres --regid=postgres --clear-groups'
bin=$(echo /usr/lib/postgresql/*/bin)
mkdir -p /data/pg /run/postgresql
chown postgres:postgres /data/pg /run/postgresql
[ -s /data/pg/PG_VERSION ] || $as "$bin/initdb" -D /data/pg -A trust >/dev/null
echo "$own" >/data/format
$as "$bin/postgres" -D /data/pg -c listen_addresses= -c unix_socket_directories=/run/postgresql &
database=$!
lab-web &
web=$!
# Fast shutdown: sessions are ended, what is committed is on the disk.
trap 'kill -INT "$database"; kill "$web" 2>/dev/null; wait "$database"; exit 0' TERM
wait "$database"
