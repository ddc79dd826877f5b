#!/usr/bin/env bash
# Runs in the guest as root: every script of one plan, in order, each by itself.
# The plan is the directory beside this file that `plan` names. A script that ends
# with 0 has passed; one line for each is the summary, and any other end fails all.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1

plan=$(cat plan)
mkdir -p logs
# shellcheck disable=SC1091 # the guest's
echo "guest: $(. /etc/os-release && echo "$PRETTY_NAME"), Linux $(uname -r), $(apparmor_parser --version | head -n 1), $(python3 -V)" |
    tee report

# Where the profiles' tunables say it is.
install -d /usr/local/lib/codejail
install -m 755 bin/codejail bin/libcodejail_worker.so /usr/local/lib/codejail/

failed=0
for script in "$plan"/[0-9]*.sh; do
    name=$(basename "$script" .sh)
    started=$SECONDS
    if bash -euo pipefail -c 'source ./lib.sh && source "$1"' "$name" "$script" >"logs/$name" 2>&1; then
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
exit "$failed"
