# shellcheck shell=bash
# The virtual machines that are measured: the lab's, emulated, each on a libvirt of its own.
#
# Sourced by bench/run.

virtual() { printf 'bench-%s' "$1"; }

remove_virtual() {
  local n
  for n in {1..8}; do "$LAB_DIR/machine" stop "$(virtual "$n")" 2>/dev/null || true; done
}

of_virtual() { "$LAB_DIR/machine" virsh "$(virtual 1)" "$@"; }

# A service in the first of them that starts with it and writes to its disk for each request.
serve_inside() {
  "$LAB_DIR/machine" run "$(virtual 1)" "$(
    cat <<'INSIDE'
cat >/usr/local/bin/serve <<'PERL'
use IO::Socket::INET;
my $server = IO::Socket::INET->new(LocalPort => 80, Listen => 64, ReuseAddr => 1) or die $!;
while (my $client = $server->accept) {
  sysread $client, my $question, 999;
  open my $log, '>>', '/var/log/served' or die $!;
  print $log "served\n";
  close $log or die $!;
  print $client "HTTP/1.0 200 OK\r\n\r\nserved\n";
  close $client;
}
PERL
cat >/etc/systemd/system/serve.service <<'UNIT'
[Service]
ExecStartPre=ip address replace 10.0.2.15/24 dev eth0
ExecStartPre=ip link set eth0 up
ExecStart=perl /usr/local/bin/serve
[Install]
WantedBy=multi-user.target
UNIT
systemctl enable --quiet --now serve
sync
INSIDE
  )"
}

# Lets in who asks on $port of this machine; QEMU forgets it when it ends.
let_in() { of_virtual qemu-monitor-command "$(virtual 1)" --hmp "hostfwd_add tcp:127.0.0.1:$port-10.0.2.15:80" >/dev/null; }
serves_again() { answers || { let_in && answers; }; }

# back CONTESTANT COMMAND…: how long it takes until it serves again.
back() {
  local contestant=$1 began=$EPOCHREALTIME
  shift
  "$@" >"$work/said" 2>&1 || { tail -n 20 "$work/said" >&2 && die "disks, put back, $contestant: it failed"; }
  wait_for 300 serves_again
  result 'disks, put back' "$contestant" "$(awk -v from="$began" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f", (to - from) * 1000 }')"
}

by_hand_save() { of_virtual snapshot-create-as "$(virtual 1)" by-hand --disk-only --quiesce --no-metadata --diskspec "vda,file=$layer"; }
by_hand_back() {
  of_virtual destroy "$(virtual 1)"
  setpriv --reuid patchyard-lab --regid patchyard-lab --clear-groups qemu-img create -q -f qcow2 -F qcow2 -b "$below" "$layer"
  of_virtual start "$(virtual 1)"
}
by_hand_forget() {
  of_virtual blockcommit "$(virtual 1)" vda --active --shallow --pivot --wait
  rm -f "$layer"
}

figure_disks() {
  local round port uri below layer domain
  domain=$(virtual 1)
  "$LAB_DIR/machine" prepare
  uri=$("$LAB_DIR/machine" start "$domain")
  port=$(free_port)
  serve_inside
  below=$(of_virtual domblklist "$domain" | awk '$1 == "vda" { print $2 }')
  layer=${below%.qcow2}.by-hand.qcow2
  for ((round = 0; round < rounds; round++)); do
    wait_for 300 serves_again
    gap 'disks, a snapshot' 'nothing is done' 20 sleep 3
    gap 'disks, a snapshot' 'by hand: virsh' 20 by_hand_save
    back 'by hand: virsh, qemu-img' by_hand_back
    "$LAB_DIR/machine" start "$domain" >/dev/null # its agent comes up after its service
    by_hand_forget >"$work/said" 2>&1
    gap 'disks, a snapshot' patchyard 20 disks "$uri" "$domain" save patchyard-bench
    back patchyard disks "$uri" "$domain" put-back patchyard-bench
    "$LAB_DIR/machine" start "$domain" >/dev/null
    disks "$uri" "$domain" forget patchyard-bench
  done
  "$LAB_DIR/machine" stop "$domain"
}

figure_virtual() {
  local round n number uri folder=$work/virtual
  "$LAB_DIR/machine" prepare
  for number in 1 4 8; do
    rm -rf "$folder" "$PATCHYARD_STATE"
    mkdir "$folder"
    printf 'version: 1\ndefaults: { timeouts: { ask: 10m, step: 30m, healthy: 5m } }\nhosts:\n' >"$folder/patchyard.yaml"
    for ((n = 1; n <= number; n++)); do
      uri=$("$LAB_DIR/machine" start "$(virtual "$n")")
      printf "  hypervisor-%s: { libvirt: '%s' }\n" "$n" "$uri" >>"$folder/patchyard.yaml"
    done
    for ((round = 0; round < rounds; round++)); do
      timed virtual "patchyard, virtual machines: $number" bash -c 'cd "$work/virtual" && exec patchyard scan --refresh'
    done
  done
  remove_virtual
}
