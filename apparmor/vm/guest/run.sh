#!/usr/bin/env bash
# Runs in the guest as root: every script of one plan, in order, each by itself.
# The plan is the directory beside this file that the file `plan` names. A script that
# ends with status 0 has passed. If one script fails, this script fails. The report has a
# line for each. If there is a file `checks`, only the scripts run whose numbers it names,
# and script 10, which loads the profiles.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1

plan=$(cat plan)
mkdir -p logs
# shellcheck disable=SC1091 # the guest's
echo "guest: $(. /etc/os-release && echo "$PRETTY_NAME"), Linux $(uname -r), $(apparmor_parser --version | head -n 1), $(python3 -V)" |
    tee report

# Before each script: puts the service where the profiles' tunables say, and loads the
# profiles as they are meant to be, whatever an earlier script has left.
prepare() {
    install -d /usr/local/lib/codejail
    install -m 755 bin/codejail bin/libcodejail_worker.so /usr/local/lib/codejail/
    [ "$plan" != absent ] || return 0
    rm -f /etc/apparmor.d/local/codejail-*
    /payload/deploy/apparmor.sh load host
}

failed=0
ran=0
checks=
[ ! -e checks ] || checks=$(cat checks)
for script in "$plan"/[0-9]*.sh; do
    number=$(basename "$script")
    number=${number%%-*}
    [ -z "$checks" ] || [[ " 10 $checks " == *" $number "* ]] || continue
    ran=$((ran + 1))
    # The console shows outside of the guest which script runs.
    echo "guest: $script" >/dev/console
    name=$(basename "$script" .sh)
    started=$SECONDS
    if prepare >"logs/$name" 2>&1 &&
        bash -euo pipefail -c 'source ./lib.sh && source "$1"' "$name" "$script" >>"logs/$name" 2>&1; then
        verdict=ok
    else
        verdict=FAILED
        failed=1
    fi
    bash -c 'source ./lib.sh && end_all' >>"logs/$name" 2>&1
    {
        sed 's/^/    /' "logs/$name"
        echo "check $plan/$name ... $verdict ($((SECONDS - started)) s)"
    } | tee -a report
done
# If no script ran, nothing is shown.
[ "$ran" -gt 0 ] || failed=1
exit "$failed"
