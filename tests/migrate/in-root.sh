#!/usr/bin/env bash
# Follows the checklist "From a host" of docs/migrate.md, literally, in a fresh Debian 12 that boots
# its systemd and has the original installed by hand.
#
#   tests/migrate/in-root.sh PACKAGES WORK-DIRECTORY
#
# PACKAGES has the .deb. WORK-DIRECTORY gets a Debian made from its packages, which is used again.
# As root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [ $# -ne 2 ] || [ "$(id -u)" -ne 0 ]; then
    echo "usage, as root: ${0##*/} PACKAGES WORK-DIRECTORY" >&2
    exit 64
fi
packages=$1
mkdir -p "$2"
work=$(cd "$2" && pwd)

scripts/debian-root.sh make "$work/bookworm" \
    apparmor,systemd,systemd-sysv,dbus,python3,python3-venv,curl,ca-certificates,sudo,procps
root=$work/root
rm -rf "$root"
trap 'rm -rf "$root"' EXIT
cp -a "$work/bookworm" "$root"
mkdir -p "$root"/test/{wheels,clone}
cp "$packages"/codejail_*.deb "$root/root/"
{ cat benches/requirements.txt && echo pyyaml==6.0.4; } >"$root/test/original.txt"
/usr/bin/python3 -m venv "$work/pip"
"$work/pip/bin/pip" --quiet --disable-pip-version-check download --no-deps --dest "$root/test/wheels" \
    --requirement "$root/test/original.txt"
rm -rf "$work/pip"
tar --create benches/python tests/fidelity tests/system/python_json tests/migrate docs/migrate.md | tar --extract --directory "$root/test/clone"
tests/migrate/original.sh "$root"
cp tests/migrate/checklist.service "$root/etc/systemd/system/"

status=0
scripts/debian-root.sh boot "$root" checklist.service "$work/boot.log" || status=$?
cat "$root/test/output" || cat "$work/boot.log"
[ "$status" = 0 ] || echo "${0##*/}: ended with status $status" >&2
exit "$status"
