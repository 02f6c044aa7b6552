# shellcheck shell=bash
# The machines that are measured: containers with an SSH server, reached as any machine is. All bear the label of ours.
#
# Sourced by bench/run.

# A machine of the lab, and Python for the peer that needs it.
machine_image() {
  local container sources
  docker image inspect "$label/machine:1" >/dev/null 2>&1 && return
  "$LAB_DIR/guests" apt >/dev/null
  sources=$(docker run --rm --label $label=1 "$LAB_PREFIX/base:1" cat /etc/apt/sources.list)
  container=$(docker create --network host --label $label=1 -e "SOURCES=$sources" "$LAB_PREFIX/guest-apt:1" sh -ec "
    printf '%s\n' \"\$SOURCES\" >/etc/apt/sources.list.d/debian.list
    apt-get -q update && apt-get -q install -y --no-install-recommends python3 python3-apt
    rm -rf /etc/apt/sources.list.d/debian.list /var/lib/apt/lists/* /var/cache/apt/*.bin && apt-get clean")
  docker start -a "$container" >"$work/image.log" 2>&1 || { tail -n 20 "$work/image.log" >&2 && die "the image cannot be built"; }
  docker commit --change "LABEL $label=1" "$container" "$label/machine:1" >/dev/null
  docker rm "$container" >/dev/null
}

machine() { printf '%s-ssh-%02d\n' "$label" "$1"; }
machines() { docker ps --filter "label=$label" --format '{{.Names}}'; }

# Forty of them, and in $work/machines what ssh, Patchyard and Ansible have to know of them.
fresh_machines() {
  local n name address folder=$work/machines
  fresh
  machine_image
  rm -rf "$folder"
  mkdir "$folder"
  ssh-keygen -q -t ed25519 -N '' -f "$folder/key"
  printf 'version: 1\nhosts:\n' >"$folder/patchyard.yaml"
  printf '[all]\n' >"$folder/hosts"
  for ((n = 1; n <= count; n++)); do
    docker run -d --init --name "$(machine "$n")" --label $label=1 "$label/machine:1" sh -c "head -c16 /dev/urandom | od -An -tx1 | tr -d ' \n' >/etc/machine-id
      ssh-keygen -A >/dev/null && mkdir -p /run/sshd && exec /usr/sbin/sshd -D" >/dev/null
  done
  for ((n = 1; n <= count; n++)); do
    name=$(machine "$n")
    address=$(docker inspect --format '{{.NetworkSettings.IPAddress}}' "$name")
    docker exec -i "$name" sh -c 'umask 077; mkdir -p /home/ops/.ssh; cat >/home/ops/.ssh/authorized_keys; chown -R ops /home/ops/.ssh' <"$folder/key.pub"
    wait_for 60 answers_by_ssh "$address"
    printf '%s %s\n' "$address" "$(docker exec "$name" cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub)" >>"$folder/known_hosts"
    printf 'Host %s\n  HostName %s\n' "$name" "$address" >>"$folder/config"
    printf '  %s: { ssh: %s, ssh_config: config }\n' "$name" "$name" >>"$folder/patchyard.yaml"
    printf '%s\n' "$name" >>"$folder/hosts"
  done
  printf '%s\n' 'Host *' '  User ops' "  IdentityFile $folder/key" '  IdentitiesOnly yes' "  UserKnownHostsFile $folder/known_hosts" \
    '  GlobalKnownHostsFile /dev/null' '  StrictHostKeyChecking yes' >>"$folder/config"
  printf '%s\n' '[all:vars]' "ansible_ssh_common_args=-F $folder/config -o ControlMaster=auto -o ControlPersist=60s" \
    'ansible_become=true' 'ansible_python_interpreter=/usr/bin/python3' >>"$folder/hosts"
}

# Whether its SSH server answers.
answers_by_ssh() { # ADDRESS
  timeout 2 bash -c "exec 3<>/dev/tcp/$1/22 && head -c 4 <&3" | grep -q SSH
}

# A contestant's command; `timed` runs it in a shell of its own.
by_ssh() { (cd "$work/machines" && exec patchyard "$@"); }
export -f by_ssh machines

figure_machines() {
  local round
  fresh_machines
  by_ssh scan >/dev/null
  for ((round = 0; round < rounds; round++)); do
    timed machines floor bash -c 'machines | xargs -P 8 -I{} ssh -F "$work/machines/config" {} dpkg-query -W'
    timed machines patchyard bash -c 'by_ssh scan'
    timed machines ansible ansible-playbook -i "$work/machines/hosts" "$work/inventory.yml"
    together 'machines, all processes' patchyard bash -c 'by_ssh scan'
    together 'machines, all processes' ansible ansible-playbook -i "$work/machines/hosts" "$work/inventory.yml"
  done
}
