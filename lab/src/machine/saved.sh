# shellcheck shell=bash
# Machines from one that was booted once and saved: a restore costs an emulated processor a tenth of a boot. Sourced by lab/machine.

template=saved-for-others

# The saved one goes with QEMU, libvirt and the machine's XML.
saved() {
  saved=$image-saved/$(key_of "$(qemu-system-x86_64 --version)" "$(libvirtd --version)" "$(named "$template" && domain)")
  [ ! -d "$saved" ] || return 0
  lab_lock machine-saved
  [ -d "$saved" ] || save
}

save() {
  say "booting a machine to save it (once)"
  "$LAB_DIR/machine" stop "$template"
  "$LAB_DIR/machine" boot "$template" >/dev/null
  (
    named "$template"
    virsh save "$name" "$data/state" --running
    rm -rf "$saved.new"
    mkdir -p "$saved.new"
    virsh save-image-dumpxml "$data/state" >"$saved.new/domain.xml"
    mv "$data/state" "$data/disk.qcow2" "$saved.new/"
  )
  "$LAB_DIR/machine" stop "$template"
  mv "$saved.new" "$saved"
}

restore() {
  cp "$saved/disk.qcow2" "$saved/state" "$data/"
  chown "$user:" "$data/disk.qcow2" "$data/state"
  "${as_user[@]}" qemu-img rebase -q -u -F raw -b "$data/disk.raw" "$data/disk.qcow2"
  sed -e "s,$template,$name,g" -e "s,<uuid>.*</uuid>,<uuid>$(cat /proc/sys/kernel/random/uuid)</uuid>," "$saved/domain.xml" >"$data/domain.xml"
  rename "$data/state" "$data/domain.xml"
  virsh define "$data/domain.xml"
  virsh restore "$data/state"
  rm "$data/state"
  agent
  # An identity of its own, and the time of day.
  inside_guest "tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id; date -s @$(date +%s)"
}

# libvirt lets nobody change a saved machine's name or UUID. Its file begins with 92 bytes, of which those from 16 on are numbers: a version,
# the length of what follows, whether it ran, whether it is compressed, and where in what follows libvirt's own words begin after the XML.
# There is room behind them.
rename() { # STATE XML
  # shellcheck disable=SC2016  # the variables are perl's
  perl -e '
    my ($state, $new) = @ARGV;
    open my $xml, "<:raw", $new or die "$new: $!";
    my $text = do { local $/; <$xml> };
    open my $file, "+<:raw", $state or die "$state: $!";
    read $file, my $head, 92;
    my ($magic, $version, $length, $running, $compressed, $at) = unpack "a16 L5", $head;
    die "$state is no saved machine" unless $magic eq "LibvirtQemudSave" && $version == 2 && $at;
    read $file, my $rest, $length;
    my ($words) = substr($rest, $at) =~ /^([^\0]*)/;
    my $all = "$text\0$words\0";
    die "the XML is too long" if length $all > $length;
    seek $file, 0, 0;
    print $file pack("a16 L5", $magic, $version, $length, $running, $compressed, 1 + length $text), substr($head, 36);
    print $file $all . "\0" x ($length - length $all);
    close $file or die $!;' "$@"
}

# libvirt gives up on an agent within five seconds, which a busy host's may need: what is asked may be asked twice.
inside_guest() { # SCRIPT
  wait_for 300 attempt "$1" || die "$name did not run: $1"
}

attempt() { # SCRIPT
  local pid script=$1
  script=${script//\\/\\\\} script=${script//\"/\\\"} script=${script//$'\n'/\\n}
  pid=$(virsh qemu-agent-command "$name" \
    '{"execute":"guest-exec","arguments":{"path":"/bin/sh","arg":["-ec","'"$script"'"],"capture-output":true}}' | sed 's/.*"pid":\([0-9]*\).*/\1/')
  [ -n "$pid" ] && wait_for 30 ended "$pid"
}

ended() { # PID
  virsh qemu-agent-command "$name" '{"execute":"guest-exec-status","arguments":{"pid":'"$1"'}}' | grep -q '"exitcode":0'
}
