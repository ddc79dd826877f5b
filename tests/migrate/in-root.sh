#!/usr/bin/env bash
# Follows the checklist "From a host" of docs/migrate.md, literally, in a fresh Debian 12 that boots
# its systemd and has the original installed by hand.
#
#   tests/migrate/in-root.sh PACKAGES WORK-DIRECTORY
#
# PACKAGES has the .deb. WORK-DIRECTORY gets a Debian made from its packages, which is used again.
# As root. What runs there has a network, processes, mounts and cgroups of its own; the kernel is
# the machine's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [ $# -ne 2 ] || [ "$(id -u)" -ne 0 ]; then
    echo "usage, as root: ${0##*/} PACKAGES WORK-DIRECTORY" >&2
    exit 64
fi
packages=$1
mkdir -p "$2"
work=$(cd "$2" && pwd)
[ -x /sandbox/venv/bin/python ] || { echo "${0##*/}: /sandbox/venv is missing: make sandbox-venv" >&2 && exit 1; }

base=$work/bookworm
if [ ! -e "$base" ]; then
    # The machine's own mirror of Debian.
    # shellcheck disable=SC2016 # apt's variables
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 2>/dev/null |
        grep -v security | head -n 1)
    rm -rf "$base.new"
    mmdebstrap --quiet --mode=root --variant=minbase \
        --include=apparmor,systemd,systemd-sysv,dbus,python3,python3-venv,curl,ca-certificates,sudo,procps \
        bookworm "$base.new" "$mirror"
    mv "$base.new" "$base"
fi
root=$work/root
rm -rf "$root"
cp -a "$base" "$root"
cgroup=
# shellcheck disable=SC2317 # the trap calls it
end() {
    local status=$?
    rm -rf "$root"
    [ -z "$cgroup" ] || find "$cgroup" -depth -type d -exec rmdir {} + || true
    exit "$status"
}
trap end EXIT
mkdir -p "$root"/{test/wheels,sandbox/venv,old-root}
cp "$packages"/codejail_*.deb "$root/root/"
{ cat benches/requirements.txt && echo pyyaml==6.0.4; } >"$root/test/original.txt"
/usr/bin/python3 -m venv "$work/pip"
"$work/pip/bin/pip" --quiet --disable-pip-version-check download --no-deps --dest "$root/test/wheels" \
    --requirement "$root/test/original.txt"
rm -rf "$work/pip"
mkdir "$root/test/clone"
tar --create benches/python tests/fidelity tests/system/python_json tests/migrate docs/migrate.md | tar --extract --directory "$root/test/clone"
tests/migrate/original.sh "$root"
cp tests/migrate/checklist.service "$root/etc/systemd/system/"

# A cgroup of version 2 that is the root of what systemd sees.
hierarchy=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET)
cgroup=$hierarchy/codejail-migrate-$$
mkdir "$cgroup"
status=0
(
    echo "$BASHPID" >"$cgroup/cgroup.procs"
    # shellcheck disable=SC2016 # the inner shell's
    exec unshare --mount --net --uts --ipc --cgroup --pid --fork --kill-child --propagation slave sh -euc '
        root=$1
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
        exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c "umount -l /old-root && exec /lib/systemd/systemd --unit=checklist.service"
    ' sh "$root" >"$work/boot.log" 2>&1 </dev/null
) || status=$?
cat "$root/test/output" || cat "$work/boot.log"
[ "$status" = 0 ] || echo "${0##*/}: ended with status $status" >&2
exit "$status"
