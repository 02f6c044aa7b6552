# shellcheck shell=bash
# The figures: in every round one contestant after the other.
#
# Sourced by bench/run. `result` and `timed` write $results, what bench/src/table.awk reads.

# result FIGURE CONTESTANT WALL-MS [CPU-S PEAK-KIB [YIELD UNIT]]
result() { printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${4:-0}" "${5:-0}" "${6:-0}" "${7:-}" >>"$results"; }

# timed FIGURE CONTESTANT COMMAND…: what a contestant prints is kept in case it fails.
timed() {
  local figure=$1 contestant=$2 began code=0 wall user system peak
  shift 2
  began=$EPOCHREALTIME
  /usr/bin/time -o "$work/time" -f '%U %S %M' "$@" >"$work/said" 2>&1 || code=$?
  wall=$(awk -v from="$began" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f", (to - from) * 1000 }')
  [ $code -eq 0 ] || { tail -n 20 "$work/said" >&2 && die "$figure, $contestant: it exited with $code"; }
  read -r user system peak < <(tail -n 1 "$work/time")
  result "$figure" "$contestant" "$wall" "$(awk -v user="$user" -v kernel="$system" 'BEGIN { print user + kernel }')" "$peak"
}

# together FIGURE CONTESTANT COMMAND…: the most memory that all processes of a contestant have at one time, what they share counted once
# (Pss, proc(5)); looked at ten times a second, which takes time of its own.
together() {
  local figure=$1 contestant=$2 began=$EPOCHREALTIME session most=0 now code=0
  shift 2
  setsid "$@" >"$work/said" 2>&1 &
  session=$!
  while kill -0 "$session" 2>/dev/null; do
    now=$(memory_of "$session")
    [ "$now" -le "$most" ] || most=$now
    sleep 0.1
  done
  wait "$session" || code=$?
  [ $code -eq 0 ] || { tail -n 20 "$work/said" >&2 && die "$figure, $contestant: it exited with $code"; }
  result "$figure" "$contestant" "$(awk -v from="$began" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f", (to - from) * 1000 }')" 0 "$most"
}

# In KiB.
memory_of() { # SESSION
  perl -e '
    my $most = 0;
    for my $process (glob "/proc/[0-9]*") {
      open my $stat, "<", "$process/stat" or next;
      my (undef, undef, undef, $session) = split " ", <$stat> =~ s/.*\)//r;
      next unless ($session // 0) == $ARGV[0] and open my $maps, "<", "$process/smaps_rollup";
      while (<$maps>) { $most += $1 if /^Pss: *(\d+)/ }
    }
    print $most' "$1"
}

# Commands of contestants; `timed` runs them in shells of their own.
floor() { names | xargs -P 8 -I{} "$LAB_DOCKER" exec {} sh -c "$1"; }
at_once() { (cd "$work" && exec patchyard "$@"); } # with everything at once in its configuration
export -f floor names docker at_once
export label LAB_DOCKER work

figure_start() {
  local round
  for ((round = 0; round < rounds; round++)); do
    # A hundred at a time: one alone is shorter than what measures it.
    timed 'start ×100' 'patchyard --version' bash -c 'for ((n = 0; n < 100; n++)); do patchyard --version; done'
    timed 'start ×100' true bash -c 'for ((n = 0; n < 100; n++)); do /bin/true; done'
  done
}

figure_overview() {
  local round
  fresh_containers
  for ((round = 0; round < rounds; round++)); do
    rm -rf "$PATCHYARD_STATE"
    timed overview 'patchyard, cold' patchyard
    timed overview 'patchyard, warm' patchyard
  done
}

figure_inventory() {
  local round
  fresh_containers
  patchyard scan >/dev/null
  for ((round = 0; round < rounds; round++)); do
    timed inventory floor bash -c 'floor "exec dpkg-query -W"'
    timed inventory patchyard patchyard scan
    sqlite3 "$PATCHYARD_STATE"/patchyard.db "delete from answer where key like '%image-%'"
    timed inventory 'patchyard, nothing known of images' patchyard scan
    timed inventory ansible ansible-playbook -i "$work/hosts" "$work/inventory.yml"
  done
}

figure_scan() {
  local round
  fresh_containers
  for ((round = 0; round < rounds; round++)); do
    timed scan floor bash -c 'floor "apt-get -qq update && exec apt-get -qq -s upgrade"'
    timed scan patchyard patchyard scan --refresh
    timed scan ansible ansible-playbook -i "$work/hosts" "$work/scan.yml"
  done
}

figure_patch() {
  local round
  for ((round = 0; round < (rounds < 3 ? rounds : 3); round++)); do
    fresh_containers
    timed patch floor bash -c 'floor "export DEBIAN_FRONTEND=noninteractive; apt-get -qq update && exec apt-get -qq -y upgrade"'
    fresh_containers
    timed patch 'patchyard, everything at once' bash -c 'at_once apply --yes'
    fresh_containers
    timed patch ansible ansible-playbook -i "$work/hosts" "$work/patch.yml"
  done
  fresh_containers
  timed patch 'patchyard, as it comes' patchyard apply --yes
}

figure_layer() {
  local round some
  fresh
  docker run -d --name "$label-layer" --label $label=1 "$label/1:1" >/dev/null
  patchyard plan --json >"$work/plan-all"
  mapfile -t some < <(jq -r '[.actions[0].packages[].name] | unique | .[:5][]' "$work/plan-all")
  for ((round = 0; round < rounds; round++)); do
    one_layer "layer, ${#some[@]} packages" "${some[@]/#/--package=}"
    one_layer "layer, all $(jq '[.actions[0].packages[].name] | unique | length' "$work/plan-all") packages"
  done
}

# one_layer FIGURE FLAG…: the same packages in the same versions, by hand and by Patchyard, which remembers nothing and has no
# package yet: by its plan and by the step of a run that builds.
one_layer() {
  local figure=$1 container wanted planned fetched built
  shift
  fresh
  docker run -d --name "$label-layer" --label $label=1 "$label/1:1" >/dev/null
  at_once plan "$@" --json >"$work/plan"
  wanted=$(jq -r '.actions[0].packages[] | select(.to != null) | "\(.name)=\(.to)"' "$work/plan" | tr '\n' ' ')
  export wanted figure
  timed "$figure" 'by hand: lists, downloads, install, commit' bash -ec '
    container=$(docker create --label "$label=1" "$label/1:1" sh -ec "export DEBIAN_FRONTEND=noninteractive
      apt-get -qq update; apt-get -qq -y --no-install-recommends install $wanted; apt-get clean; rm -rf /var/lib/apt/lists/*")
    docker start -a "$container"
    docker commit "$container" "$label/by-hand:1"
    docker rm "$container"'
  sed -i "\$s/0\t\$/$(layer_size "$label/by-hand:1")\tMB/" "$results"
  docker rmi "$label/by-hand:1" >/dev/null
  rm -rf "$PATCHYARD_STATE"
  timed "$figure" 'patchyard: plan (lists, solver, downloads)' bash -c 'at_once "$@"' plan plan "$@"
  planned=$(tail -n 1 "$results" | cut -f 3)
  # Once more without its packages: it knows what it takes, as whoever works by hand does.
  rm -rf "$PATCHYARD_STATE/cache"
  timed "$figure" 'patchyard: lists and downloads' bash -c 'at_once "$@"' plan plan "$@"
  fetched=$(tail -n 1 "$results" | cut -f 3)
  # Its digest: a state of its own has a key of its own, and so a plan of its own.
  at_once plan "$@" --json >"$work/plan"
  at_once apply --yes --json --plan "$(jq -r .digest "$work/plan")" >"$work/events" 2>"$work/said" || { tail -n 20 "$work/said" >&2 && die "$figure: it failed"; }
  built=$(jq -rs 'map(select(.step == "prepare" and .direction == "do")) | [.[].at | sub("\\.(?<f>[0-9]+)Z$"; "Z") | fromdate] as $s
      | [.[].at | capture("\\.(?<f>[0-9]+)Z$").f | ("0." + .) | tonumber] as $f
      | (($s[1] + $f[1]) - ($s[0] + $f[0])) * 1000' "$work/events")
  result "$figure" 'patchyard: the step that builds' "$built"
  result "$figure" 'patchyard: lists, downloads, step' "$(sum "$fetched" "$built")" 0 0 "$(layer_size "$label/1:1")" MB
  result "$figure" 'patchyard: plan and step' "$(sum "$planned" "$built")"
}

sum() { awk -v one="$1" -v other="$2" 'BEGIN { print one + other }'; }

# What an image has more than what it was made from, in MB.
layer_size() { # IMAGE
  local whole base
  whole=$(docker image inspect --format '{{.Size}}' "$1")
  base=$(docker image inspect --format '{{.Size}}' "$(base_of 1)")
  awk -v bytes=$((whole - base)) 'BEGIN { printf "%.1f", bytes / 1000000 }'
}

# gap FIGURE CONTESTANT MS COMMAND…: its wall is the longest time without an answer, asked so often.
gap() {
  local figure=$1 contestant=$2 every=$3
  shift 3
  mkfifo "$work/until"
  perl bench/src/gap.pl "$port" "$every" <"$work/until" >"$work/gap" &
  exec 8>"$work/until"
  sleep 1
  "$@" >"$work/said" 2>&1 || { tail -n 20 "$work/said" >&2 && die "$figure, $contestant: it failed"; }
  wait_for 20 answers
  sleep 0.5
  exec 8>&-
  wait $!
  rm "$work/until"
  result "$figure" "$contestant" "$(cat "$work/gap")"
}

answers() { curl -fsS -m 2 "http://127.0.0.1:$port/"; }

figure_gap() {
  local round port single=$label-gap composed=$work/compose
  port=$(free_port)
  mkdir -p "$composed"
  printf '%s\n' "version: '3'" 'services:' '  gap:' "    image: $label/1:1" "    ports: ['127.0.0.1:$port:8080']" "    labels: { $label: '1' }" \
    >"$composed/docker-compose.yml"
  for ((round = 0; round < rounds; round++)); do
    fresh
    docker run -d --name "$single" --label $label=1 -p "127.0.0.1:$port:8080" "$label/1:1" >/dev/null
    wait_for 20 answers
    gap gap "the engine's stop and start" 2 bash -c "docker stop $single && docker start $single"
    gap gap patchyard 2 bash -c "at_once apply --yes $single"
    fresh
    (cd "$composed" && docker-compose up -d) >"$work/said" 2>&1
    wait_for 20 answers
    gap gap compose 2 bash -c "cd '$composed' && docker-compose up -d --force-recreate"
  done
}

# Forty real containers, told of again and again by an API of ours.
figure_size() {
  local round n
  fresh_containers
  for n in "$count" 400 4000; do
    many "$n" "${DOCKER_HOST#unix://}" "$work/many.sock" <"$work/until-many" &
    exec 8>"$work/until-many"
    wait_for 10 test -S "$work/many.sock"
    for ((round = 0; round < rounds; round++)); do
      DOCKER_HOST=unix://$work/many.sock timed size "patchyard, $n containers" patchyard
    done
    exec 8>&-
    wait $!
    rm -f "$work/many.sock"
  done
}

figure_events() {
  local round n
  for ((round = 0; round < rounds; round++)); do
    # Not more: the simulation looks at its whole world after every effect.
    for n in 40 400; do
      rm -rf "$work/rollout"
      mkdir "$work/rollout"
      timed events "a rollout of $n targets" rollout "$n" "$work/rollout"
      sed -i "\$s/0\t\$/$(awk '{ print $NF }' "$work/said")\tevents\/s/" "$results"
    done
  done
}
