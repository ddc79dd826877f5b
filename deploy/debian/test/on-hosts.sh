#!/usr/bin/env bash
# The package on hosts that boot systemd and enforce AppArmor: guests, as of
# apparmor/vm, one at a time.
#
#   deploy/debian/test/on-hosts.sh PACKAGES WORK-DIRECTORY [SUITE...]
#
# PACKAGES has the .deb; WORK-DIRECTORY has or gets the guests. As root.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
vm=$here/../../../apparmor/vm
if [ $# -lt 2 ]; then
    echo "usage: ${0##*/} PACKAGES WORK-DIRECTORY [SUITE...]" >&2
    exit 64
fi
packages=$1 work=$2
shift 2
suites=("$@")
[ $# -gt 0 ] || suites=(bookworm trixie)
boot_seconds_max=3600

mkdir -p "$work"
payload=$(mktemp -d "$work/payload-XXXXXX")
trap 'rm -rf "$payload"' EXIT
cp "$here/host.sh" "$payload/run.sh"
cp "$packages"/codejail_*.deb "$payload/"
"$here/next.sh" "$packages"/codejail_*.deb "$payload/next"

failed=()
for suite in "${suites[@]}"; do
    "$vm/build.sh" "$suite" "$work/$suite"
    echo "== $suite, the package"
    status=0
    "$vm/boot.sh" "$work/$suite" "$payload" "$work/$suite/package" "$boot_seconds_max" \
        apparmor=1 security=apparmor init=/lib/systemd/systemd systemd.unit=multi-user.target || status=$?
    [ ! -e "$work/$suite/package/report" ] || cat "$work/$suite/package/report"
    [ "$status" -eq 0 ] || failed+=("$suite: status $status")
done
if [ "${#failed[@]}" -gt 0 ]; then
    printf 'the package on a host: FAILED: %s\n' "${failed[@]}"
    exit 1
fi
echo "the package on a host: all of it passed in ${suites[*]}"
