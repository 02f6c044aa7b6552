# shellcheck shell=bash
# The containers that are measured: their images, and how they are made and removed. All bear a label of ours.
#
# Sourced by bench/run.

label=patchyard-bench
count=40

# One of four images: a Debian whose packages are those of its last point release, with a small service, a package that the others do not
# have, and Python for the peer that needs it.
image() { # N
  local container own=(bc pv time tree)
  docker image inspect "$label/$1:1" >/dev/null 2>&1 && return
  container=$(docker create --network host "$LAB_PREFIX/debian-web:1" sh -ec "
    . /etc/os-release && apt-get -q update
    apt-get -q install -y --no-install-recommends -t \$VERSION_CODENAME python3 python3-apt openssl xz-utils ${own[$1 - 1]}
    apt-get clean && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin && echo $1 >/etc/bench")
  docker start -a "$container" >"$work/image.log" 2>&1 || { tail -n 20 "$work/image.log" >&2 && die "the image cannot be built"; }
  docker commit --change 'CMD ["lab-web"]' --change "LABEL $label=1" "$container" "$label/$1:1" >/dev/null
  docker rm "$container" >/dev/null
}

# The unpatched image: a patch moves the tag.
base_of() { # N
  docker image inspect --format '{{with index .Config.Labels "io.patchyard.base"}}{{.}}{{else}}{{$.Id}}{{end}}' "$label/$1:1"
}

name() { printf '%s-%02d\n' "$label" "$1"; }
names() { docker ps --filter "label=$label" --format '{{.Names}}'; }

# Everything as it was before anybody patched it: no container, the tags on their unpatched images, nothing remembered.
fresh() {
  local n
  remove_containers
  for n in 1 2 3 4; do docker tag "$(base_of "$n")" "$label/$n:1"; done
  docker image ls -q --filter 'label=io.patchyard.patch-set' --filter "label=$label" | sort -u | xargs -r "$LAB_DOCKER" rmi -f >/dev/null 2>&1 || true
  rm -rf "$PATCHYARD_STATE"
}

# Forty containers from four images, ten to a service.
fresh_containers() {
  local n
  fresh
  for ((n = 1; n <= count; n++)); do
    docker run -d --name "$(name "$n")" --label $label=1 --label "io.patchyard.service=bench-$((n % 4 + 1))" "$label/$((n % 4 + 1)):1" >/dev/null
  done
}

remove_containers() {
  local ids
  mapfile -t ids < <(docker ps -aq --filter "label=$label" 2>/dev/null)
  [ ${#ids[@]} -eq 0 ] || docker rm -fv "${ids[@]}" >/dev/null
}

remove_images() {
  docker image ls -q --filter "label=$label" | sort -u | xargs -r "$LAB_DOCKER" rmi -f >/dev/null
}
