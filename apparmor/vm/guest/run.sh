#!/usr/bin/env bash
# Runs in the guest as root: every script of one plan, in order, each by itself.
# The plan is the directory beside this file that `plan` names. A script that ends
# with 0 has passed; one line for each is the summary, and any other end fails all.
# With a file `checks` only those run that it names by their numbers, and the first,
# which loads the profiles.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1

plan=$(cat plan)
mkdir -p logs
# shellcheck disable=SC1091 # the guest's
echo "guest: $(. /etc/os-release && echo "$PRETTY_NAME"), Linux $(uname -r), $(apparmor_parser --version | head -n 1), $(python3 -V)" |
    tee report

# Each script finds the service where the profiles' tunables say, and the profiles as
# they are meant to be, whatever one before it has left.
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
    # How far it is can be seen from outside.
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
# What ran nothing has shown nothing.
[ "$ran" -gt 0 ] || failed=1
exit "$failed"
