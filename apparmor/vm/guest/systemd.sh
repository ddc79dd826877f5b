# Functions for the scripts of the plan `systemd`, besides lib.sh. Sourced.
# shellcheck shell=bash disable=SC2034,SC2154

# The path that the units name.
codejail=/usr/lib/codejail/codejail
layers='[layers]
uid = "require"
namespaces = "require"
mounts = "require"
landlock = "require"
apparmor = "require"
cgroup = "require"'

# The files of a package, at the places where a package puts them.
install_package() {
    install -d /usr/lib/codejail /etc/codejail
    install -m 755 /payload/bin/codejail /payload/bin/libcodejail_worker.so /usr/lib/codejail/
    install -m 755 /payload/deploy/switch.sh /usr/bin/codejail-switch
    cp -r /payload/deploy/systemd/codejail* /etc/systemd/system/
    rm -rf /etc/systemd/system/codejail*.service.d/test.conf
    install -m 644 /payload/deploy/systemd/codejail.sysusers /usr/lib/sysusers.d/codejail.conf
    install -m 644 /payload/deploy/systemd/codejail.tmpfiles /usr/lib/tmpfiles.d/codejail.conf
    systemd-sysusers codejail.conf
    systemd-tmpfiles --create codejail.conf
    # The guest is slow, and its host has other users.
    for unit in codejail codejail@; do
        drop_in "$unit.service" 'TimeoutStartSec=300' 'WatchdogSec=120'
    done
    write_configuration
}

# Directives that the unit has in addition.
#   drop_in UNIT LINE...
drop_in() {
    local directory=/etc/systemd/system/$1.d
    shift
    mkdir -p "$directory"
    printf '%s\n' '[Service]' "$@" >"$directory/test.conf"
    systemctl daemon-reload
}

write_configuration() {
    cat >/etc/codejail/codejail.toml <<TOML
enabled = true
user = "codejail"
workers = ${workers:-1}
queue_wait_max_ms = 60000
scratch_bytes_max = 8388608
scratch_files_max = 1000
[python]
preload = [$few_libraries]
[limits]
REALTIME = $limit_seconds
CPU = $limit_seconds
VMEM = 268435456
FSIZE = 1048576
$layers
TOML
}

property() { systemctl show --value -p "$2" "$1"; }

start_unit() {
    systemctl start "$1" || {
        systemctl status --no-pager "$1" || true
        journalctl --no-pager -u "$1" | tail -n 50
        fail "$1 does not start"
    }
}

# /health/ of the running service says that every layer is on.
all_layers_are_on() {
    local health off
    health=$(curl -sf -m 60 "$url/health/") || fail "it is not healthy"
    off=$(python3 -c '
import json, sys
layers = json.load(sys.stdin)["layers"]
assert len(layers) == 8, layers
print(*(layer for layer in layers if not layer["on"]), sep="\n", end="")' <<<"$health")
    [ -z "$off" ] || fail "layers are off: $off"
    grep -q 'memory.max' <<<"$health" || fail "the cgroups have no bounds: $health"
    say "all layers are on: $health"
}

# The unit has ended and has left nothing.
is_gone() {
    local left
    [ "$(property "$1" ActiveState)" = inactive ] || fail "$1 is $(property "$1" ActiveState)"
    [ "$(property "$1" Result)" = success ] || fail "$1 ended with $(property "$1" Result)"
    ! pgrep -af '/usr/lib/codejail/codejail' || fail "processes are left"
    left=$(find /tmp -maxdepth 1 -name 'codejail-*')
    [ -z "$left" ] || fail "directories are left: $left"
}
