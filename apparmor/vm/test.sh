#!/usr/bin/env bash
# AppArmor under kernels that enforce it: builds the guests, and boots them with the service and the
# scripts of guest/. Fails if a script fails.
#
#   apparmor/vm/test.sh RELEASE-DIRECTORY SABOTAGE-DIRECTORY WORK-DIRECTORY [SUITE...]
#
# SABOTAGE-DIRECTORY has the build that can switch every layer off.
# Each suite is booted three times: with AppArmor, for the plan `enforced`; with systemd as process
# 1, for `systemd`; and with apparmor=0, for `absent`. A new check is a new script in guest/PLAN/.
# Guests run one at a time; results stay in WORK-DIRECTORY/SUITE/PLAN. CHECKS='40 60' runs only
# these checks of the plan `enforced`, and with PLAN=systemd those of that plan.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -ge 3 ] || {
    echo "usage: ${0##*/} RELEASE-DIRECTORY SABOTAGE-DIRECTORY WORK-DIRECTORY [SUITE...]" >&2
    exit 64
}
release=$1 sabotage=$2 work=$3
shift 3
suites=("$@")
[ $# -gt 0 ] || suites=(bookworm trixie)
boot_seconds_max=3600

mkdir -p "$work"
payload=$(mktemp -d "$work/payload-XXXXXX")
trap 'rm -rf "$payload"' EXIT
cp -r "$here/guest/." "$payload/"
mkdir "$payload/bin" "$payload/sabotage" "$payload/deploy"
# Debug information is of no use in a guest, and makes up most of the binaries.
for file in codejail libcodejail_worker.so codejail-api-tests; do
    strip --strip-debug -o "$payload/bin/$file" "$release/$file"
done
for file in codejail libcodejail_worker.so; do
    strip --strip-debug -o "$payload/sabotage/$file" "$sabotage/$file"
done
cp -r "$here"/../../deploy/{apparmor.sh,switch.sh,systemd,docker/seccomp.json} "$payload/deploy/"
mkdir "$payload/apparmor"
cp -r "$here"/../{3,4,compat,codejail.d,tunables} "$payload/apparmor/"

checks=${CHECKS-}
[ -z "$checks" ] || echo "$checks" >"$payload/checks"
plans=(enforced systemd absent)
[ -z "$checks" ] || plans=(enforced)
[ -z "${PLAN-}" ] || plans=("$PLAN")
declare -A kernel_arguments=(
    [enforced]="apparmor=1 security=apparmor"
    # If init= is given several times, the last one counts.
    [systemd]="apparmor=1 security=apparmor init=/lib/systemd/systemd systemd.unit=multi-user.target"
    [absent]="apparmor=0"
)

failed=()
run() { # SUITE PLAN
    local suite=$1 plan=$2 results=$work/$1/$2 status=0
    local arguments
    read -ra arguments <<<"${kernel_arguments[$plan]}"
    echo "$plan" >"$payload/plan"
    echo "== $suite, $plan"
    "$here/boot.sh" "$work/$suite" "$payload" "$results" "$boot_seconds_max" "${arguments[@]}" || status=$?
    [ ! -e "$results/report" ] || cat "$results/report"
    [ "$status" -eq 0 ] || failed+=("$suite/$plan: status $status")
}

for suite in "${suites[@]}"; do
    "$here/build.sh" "$suite" "$work/$suite"
    for plan in "${plans[@]}"; do
        run "$suite" "$plan"
    done
done

if [ "${#failed[@]}" -gt 0 ]; then
    printf 'AppArmor: FAILED: %s\n' "${failed[@]}"
    exit 1
fi
if [ -n "$checks${PLAN-}" ]; then
    echo "AppArmor: plans ${plans[*]}, checks ${checks:-all} passed in ${suites[*]}; the others did not run"
else
    echo "AppArmor: all checks passed in ${suites[*]}"
fi
