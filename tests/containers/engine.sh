#!/usr/bin/env bash
# Runs a command beside a Docker engine of its own, and ends the engine.
#
#   tests/containers/engine.sh TOOLS STATE host|apart [DOCKERD-ARGUMENT...] -- COMMAND...
#
# TOOLS has Debian's engine (tests/containers/tools.sh), STATE keeps its images. With `host`
# containers share the host's network and there is no bridge: for builds, which ask registries. With
# `apart` the engine and the command are in a network of their own, which leads nowhere, so its
# ports and bridges disturb nobody. In both cases they are in PID and mount namespaces of their own,
# so every process and every mount ends with them. DOCKER_HOST tells the command where the engine
# is. The script needs root. The host needs neither systemd nor Docker.
set -euo pipefail

if [ "${1-}" != --inside ]; then
    [ $# -ge 5 ] || { echo "usage: ${0##*/} TOOLS STATE host|apart [DOCKERD-ARGUMENT...] -- COMMAND..." >&2 && exit 64; }
    mkdir -p "$2"
    # Only one engine at a time: two would spoil what they share.
    exec 9>"$2/lock"
    flock --nonblock 9 || { echo "${0##*/}: another engine is at work in $2" >&2 && exit 1; }
    network=()
    [ "$3" != apart ] || network=(--net)
    status=0
    unshare --mount --propagation private --pid --fork --kill-child --mount-proc "${network[@]}" \
        "${BASH_SOURCE[0]}" --inside "$@" || status=$?
    # Every process of the engine has ended or is ending. Then their cgroups are empty.
    cgroups() { find /sys/fs/cgroup{,/*}/codejail-tests -maxdepth 0 2>/dev/null || true; }
    deadline=$((SECONDS + 20))
    while [ -n "$(cgroups)" ] && [ "$SECONDS" -lt "$deadline" ]; do
        cgroups | xargs --no-run-if-empty -I DIRECTORY find DIRECTORY -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.2
    done
    [ -z "$(cgroups)" ] || { echo "${0##*/}: left behind: $(cgroups)" >&2 && exit 1; }
    exit "$status"
fi
shift
tools=$(cd "$1" && pwd) state=$(cd "$2" && pwd) where=$3
shift 3
arguments=()
while [ "$1" != -- ]; do
    arguments+=("$1")
    shift
done
shift
export PATH=$tools/usr/sbin:$tools/usr/bin:$PATH
libraries=$(echo "$tools"/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH=$libraries XTABLES_LIBDIR=$libraries/xtables

# The files in /run are this engine's alone, and go with it.
mount -t tmpfs -o mode=755 tmpfs /run
# For --userns-remap=nobody:nogroup. dockerd looks in both files for the user's name, in subgid too.
for ids in subuid subgid; do
    echo nobody:100000:65536 >"/run/$ids"
    mount --bind "/run/$ids" "/etc/$ids"
done
[ "$where" = host ] || ip link set lo up
[ "$where" = apart ] || arguments+=(--bridge=none --iptables=false --ip-forward=false)
export DOCKER_HOST=unix:///run/docker.sock
dockerd --data-root "$state/data" --exec-root /run/docker --pidfile /run/docker.pid --host "$DOCKER_HOST" \
    --cgroup-parent /codejail-tests "${arguments[@]}" >"$state/dockerd-$where.log" 2>&1 </dev/null 9>&- &
engine=$!
end() {
    local status=$?
    kill -TERM "$engine" 2>/dev/null || true
    wait "$engine" || true
    exit "$status"
}
trap end EXIT
deadline=$((SECONDS + 60))
until docker version >/dev/null 2>&1; do
    if ! kill -0 "$engine" 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
        tail -n 20 "$state/dockerd-$where.log" >&2
        echo "${0##*/}: the engine did not start" >&2
        exit 1
    fi
    sleep 0.2
done
"$@" 9>&-
