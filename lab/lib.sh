# shellcheck shell=bash
# What the lab's scripts share: where things lie, messages, packages, locks, processes, the docker client.
#
# Sourced, never run. The caller has already said `set -euo pipefail`.

# shellcheck disable=SC2034  # read by the scripts that source this file
LAB_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Big or slow to make, and worth keeping: base images, packages, data of private engines.
LAB_CACHE=${PATCHYARD_LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/patchyard-lab}
# Sockets, pids and logs. A short path, because a socket's path may have at most 107 bytes.
# shellcheck disable=SC2034
LAB_RUN=${PATCHYARD_LAB_RUN:-/run/patchyard-lab}
# shellcheck disable=SC2034  # read by the scripts that source this file
LAB_PREFIX=patchyard-lab

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
  say "$*"
  exit 1
}

# Prints the comment at the head of the calling script: one text serves reader and --help.
usage() { awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$0"; }

need_root() { [ "$(id -u)" = 0 ] || die "must run as root"; }

# need_packages COMMAND=PACKAGE...: installs, in one go, the packages whose command is missing.
# A function of that name is no such command.
need_packages() {
  local pair missing=()
  for pair in "$@"; do
    type -P "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

install_packages() { # PACKAGE...
  need_root
  say "installing $*"
  local log
  log=$(mktemp)
  # Without lists apt knows no package; lists that are merely old are tried first.
  if ! apt_quiet install --no-install-recommends -y "$@" >"$log" 2>&1 &&
    ! { apt_quiet update && apt_quiet install --no-install-recommends -y "$@"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "cannot install $*; apt's log is $log"
  fi
  rm -f "$log"
}

# Another apt may be at work on the same machine: wait for its lock instead of failing.
apt_quiet() {
  DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >&2
}

# A user without rights, for what is not to run as root. Stays.
need_user() { # NAME
  lab_lock user
  id "$1" >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin "$1"
}

# Puts cargo on the PATH, or says what is missing. No script installs a Rust toolchain: which one, and how, is its owner's to decide.
need_rust() { # [CARGO-SUBCOMMAND...]
  local wanted found='' component
  export PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin # rustup puts it there, and only a login shell knows
  wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$LAB_DIR/../Cargo.toml")
  if cargo --version >/dev/null 2>&1; then found=$(rustc --version 2>/dev/null | cut -d' ' -f2); fi
  if [ -z "$found" ] || [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" != "$wanted" ]; then
    die "Rust $wanted or newer is needed, ${found:-no cargo} was found. Install it with rustup (https://rustup.rs), then run this again."
  fi
  for component; do
    cargo "$component" --version >/dev/null 2>&1 || die "cargo $component is missing: rustup component add ${component/fmt/rustfmt}"
  done
  need_packages cc=gcc ld=binutils # some crates bring C sources
  [ -e /usr/include/stdio.h ] || install_packages libc6-dev
}

# Debian's own client comes first: a much newer one refuses some flags on an older engine.
if [ -x /usr/bin/docker ]; then LAB_DOCKER=/usr/bin/docker; else LAB_DOCKER=docker; fi
docker() { "$LAB_DOCKER" "$@"; }

engine_answers() { # [DOCKER_HOST]
  DOCKER_HOST=${1:-${DOCKER_HOST:-unix:///var/run/docker.sock}} \
    timeout 5 "$LAB_DOCKER" version --format '{{.Server.Version}}' >/dev/null 2>&1
}

# supersede TAG COMMAND...: the command gives TAG to a new image; the old one goes, unless a container or another tag holds it.
supersede() {
  local old new
  old=$(docker image inspect --format '{{.Id}}' "$1" 2>/dev/null || true)
  "${@:2}"
  new=$(docker image inspect --format '{{.Id}}' "$1")
  if [ -n "$old" ] && [ "$old" != "$new" ]; then docker rmi "$old" >/dev/null 2>&1 || true; fi
}

# One short hash over files (content, not name) and words: the key of what is cached.
key_of() { # FILE|WORD...
  local thing
  for thing in "$@"; do
    if [ -f "$thing" ]; then sha256sum <"$thing"; else printf '%s\n' "$thing"; fi
  done | sha256sum | cut -c1-12
}

# forget DIR PATTERN: what was cached under a key that nobody has asked for in a week; another checkout may still want a younger one.
forget() { find "$1" -mindepth 1 -maxdepth 1 -name "$2" -mtime +7 -exec rm -rf {} +; }

# Holds a lock until the script ends: two tests may prepare the same thing at once. A process that is left behind must not
# inherit the lock: `background` sees to that.
lab_lock() { # NAME
  mkdir -p "$LAB_CACHE/lock"
  exec 9>"$LAB_CACHE/lock/$1"
  flock -w 1800 9 || die "another lab script holds $LAB_CACHE/lock/$1"
}

# background PIDFILE LOGFILE COMMAND...: starts a process that outlives the script. Its start time is kept beside its pid, so that
# a pid that has been given to another process is never signalled.
background() {
  local pidfile=$1 log=$2
  shift 2
  setsid "$@" >>"$log" 2>&1 </dev/null 9>&- &
  local pid=$!
  disown "$pid"
  printf '%s %s\n' "$pid" "$(start_time "$pid")" >"$pidfile"
}

# Field 22 of /proc/PID/stat; the name in field 2 may hold spaces.
start_time() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  stat=${stat##*) }
  # shellcheck disable=SC2086  # splitting into fields is the point
  set -- $stat
  printf '%s' "${20}"
}

# Waits until a process has ended. For a guard, whose pid PIDFILE has: fails when it has another's, or none any more.
wait_for_end() { # PID PIDFILE
  local began
  began=$(start_time "$1" || true)
  while [ -n "$began" ] && [ "$(start_time "$1" || true)" = "$began" ]; do
    sleep 1
    [ "$(running_pid "$2" || true)" = $$ ] || return 1
  done
}

# Prints the pid if the process that wrote PIDFILE still lives; a zombie does not count.
running_pid() { # PIDFILE
  local pid started
  read -r pid started 2>/dev/null <"$1" || return 1
  # A process that was gone before it could be asked has no start time.
  [ -n "$started" ] && [ "$(start_time "$pid")" = "$started" ] || return 1
  ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null || return 1
  printf '%s\n' "$pid"
}

# stop_process PIDFILE SECONDS: TERM, and KILL when that did not help.
stop_process() {
  local pid i
  pid=$(running_pid "$1") || { rm -f "$1" && return 0; }
  kill -TERM "$pid"
  for ((i = 0; i < $2 * 10; i++)); do
    running_pid "$1" >/dev/null || { rm -f "$1" && return 0; }
    sleep 0.1
  done
  say "pid $pid ignored SIGTERM for $2 s: killing it"
  kill -KILL "$pid" 2>/dev/null || true
  rm -f "$1"
}

# A port of the loopback that nobody listens on.
free_port() {
  perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 0, Listen => 1)->sockport'
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
  local i seconds=$1
  shift
  for ((i = 0; i < seconds * 10; i++)); do
    "$@" >/dev/null 2>&1 && return 0
    sleep 0.1
  done
  return 1
}
