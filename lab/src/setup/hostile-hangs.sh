# Package tools that never end and ignore a polite request to.
for tool in apt apt-get apt-cache apt-mark dpkg dpkg-query; do
    printf '#!/bin/sh\ntrap "" TERM INT HUP\nwhile :; do sleep 3600; done\n' >/usr/bin/$tool
done
