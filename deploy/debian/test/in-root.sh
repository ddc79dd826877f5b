#!/usr/bin/env bash
# The package in a fresh Debian: install, run, probe, upgrade, purge.
#
#   deploy/debian/test/in-root.sh PACKAGES WORK-DIRECTORY
#
# PACKAGES has the .deb. WORK-DIRECTORY gets a Debian 12 made from its packages, which is
# used again. As root; what runs there has a network, processes and mounts of its own.
# The sandboxes' Python is the machine's /sandbox/venv, of the same Debian.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ $# -ne 2 ] || [ "$(id -u)" -ne 0 ]; then
    echo "usage, as root: ${0##*/} PACKAGES WORK-DIRECTORY" >&2
    exit 64
fi
packages=$1
mkdir -p "$2"
work=$(cd "$2" && pwd)
[ -x /sandbox/venv/bin/python ] || {
    echo "${0##*/}: /sandbox/venv is missing: make sandbox-venv" >&2
    exit 1
}

base=$work/bookworm
if [ ! -e "$base" ]; then
    # The machine's own mirror of Debian.
    # shellcheck disable=SC2016 # apt's variables
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 2>/dev/null |
        grep -v security | head -n 1)
    # What the package depends on is there, so that nothing else comes with it.
    rm -rf "$base.new"
    mmdebstrap --quiet --mode=root --variant=minbase \
        --include=apparmor,systemd,python3,python3-venv,curl,ca-certificates \
        bookworm "$base.new" "$mirror"
    mv "$base.new" "$base"
fi
root=$work/root
rm -rf "$root"
trap 'rm -rf "$root"' EXIT
cp -a "$base" "$root"
mkdir -p "$root/test/wheels" "$root/sandbox/venv" "$root/old-root"
cp "$packages"/codejail_*.deb "$here/root.sh" "$root/test/"
"$here/next.sh" "$packages"/codejail_*.deb "$root/test/next"
echo 'six==1.17.0' >"$root/test/requirements.txt"
python3 -m venv "$work/pip"
"$work/pip/bin/pip" --quiet --disable-pip-version-check download --no-deps --dest "$root/test/wheels" \
    --requirement "$root/test/requirements.txt"
rm -rf "$work/pip"

# $1 is the inner shell's.
# shellcheck disable=SC2016
unshare --mount --net --pid --fork --kill-child --propagation slave sh -euc '
    root=$1
    mount --bind "$root" "$root"
    ip link set lo up
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/run"
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
    mount --bind -o ro /sandbox/venv "$root/sandbox/venv"
    # A root of its own, not a chroot, in which the layer of mounts could not be.
    cd "$root"
    pivot_root . old-root
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 sh -c "umount -l /old-root && exec bash /test/root.sh"
' sh "$root"
