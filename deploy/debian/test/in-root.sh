#!/usr/bin/env bash
# The package in a fresh Debian that boots its systemd: install, run, probe, upgrade, purge.
#
#   deploy/debian/test/in-root.sh PACKAGES WORK-DIRECTORY
#
# PACKAGES has the .deb. WORK-DIRECTORY gets a Debian 12 made from its packages, which is
# used again. As root. The sandboxes' Python is the machine's /sandbox/venv, of the same Debian.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
debian_root=$here/../../../scripts/debian-root.sh
if [ $# -ne 2 ] || [ "$(id -u)" -ne 0 ]; then
    echo "usage, as root: ${0##*/} PACKAGES WORK-DIRECTORY" >&2
    exit 64
fi
packages=$1
mkdir -p "$2"
work=$(cd "$2" && pwd)

# What the package depends on is there, so that nothing else comes with it.
"$debian_root" make "$work/bookworm" apparmor,systemd,systemd-sysv,python3,python3-venv,curl,ca-certificates,procps
root=$work/root
rm -rf "$root"
trap 'rm -rf "$root"' EXIT
cp -a "$work/bookworm" "$root"
mkdir -p "$root/test/wheels"
cp "$packages"/codejail_*.deb "$here"/{root.sh,upgrade.sh,busy_clients.py} "$root/test/"
"$here/next.sh" "$packages"/codejail_*.deb "$root/test/next"
echo 'six==1.17.0' >"$root/test/requirements.txt"
python3 -m venv "$work/pip"
"$work/pip/bin/pip" --quiet --disable-pip-version-check download --no-deps --dest "$root/test/wheels" \
    --requirement "$root/test/requirements.txt"
rm -rf "$work/pip"
cp "$here/package.service" "$root/etc/systemd/system/"

status=0
"$debian_root" boot "$root" package.service "$work/boot.log" || status=$?
cat "$root/test/output" || cat "$work/boot.log"
[ "$status" = 0 ] || echo "${0##*/}: ended with status $status" >&2
exit "$status"
