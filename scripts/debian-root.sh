#!/usr/bin/env bash
# A Debian 12 of its own for a test, on this machine's kernel. As root.
#
#   debian-root.sh make BASE PACKAGE,...   makes it in the directory BASE, from Debian's packages;
#                                          does nothing if BASE exists
#   debian-root.sh boot ROOT UNIT LOG      boots the systemd in ROOT with UNIT, which must end that
#                                          systemd; exits with its status; LOG gets the console
#
# The booted system has a network, processes, mounts and cgroups of its own. It sees the machine's
# /sandbox/venv, read-only.
set -euo pipefail

usage() {
    sed -n 's/^# \{0,1\}//; 4,7p' "$0" >&2
    exit 64
}

make() { # BASE PACKAGES
    local base=$1 mirror
    [ ! -e "$base" ] || return 0
    mirror=$("$(dirname "${BASH_SOURCE[0]}")/debian-mirror.sh")
    rm -rf "$base.new"
    mmdebstrap --quiet --mode=root --variant=minbase --include="$2" bookworm "$base.new" "$mirror"
    mv "$base.new" "$base"
}

boot() { # ROOT UNIT LOG
    local root=$1 unit=$2 log=$3 status=0
    [ -x /sandbox/venv/bin/python ] || {
        echo "${0##*/}: /sandbox/venv is missing: make sandbox-venv" >&2
        exit 1
    }
    mkdir -p "$root"/{sandbox/venv,old-root}
    # A cgroup of version 2 that is the root of what systemd sees.
    cgroup=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET)/codejail-root-$$
    mkdir "$cgroup"
    trap 'find "$cgroup" -depth -type d -exec rmdir {} + || true' EXIT
    (
        echo "$BASHPID" >"$cgroup/cgroup.procs"
        # A root of its own and not a chroot: in a chroot the layer of mounts does not work.
        # shellcheck disable=SC2016 # the inner shell's
        exec unshare --mount --net --uts --ipc --cgroup --pid --fork --kill-child --propagation slave sh -euc '
            root=$1 unit=$2
            mount --bind "$root" "$root"
            ip link set lo up
            mount -t proc proc "$root/proc"
            mount -t sysfs -o ro sysfs "$root/sys"
            mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
            mount --rbind /dev "$root/dev"
            mount -t tmpfs tmpfs "$root/run"
            mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
            mount --bind -o ro /sandbox/venv "$root/sandbox/venv"
            cd "$root"
            pivot_root . old-root
            exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
                sh -c "umount -l /old-root && exec /lib/systemd/systemd --unit=$unit"
        ' sh "$root" "$unit" >"$log" 2>&1 </dev/null
    ) || status=$?
    return "$status"
}

[ "$(id -u)" -eq 0 ] || usage
case "${1-} $#" in
"make 3") make "$2" "$3" ;;
"boot 4") boot "$2" "$3" "$4" ;;
*) usage ;;
esac
