#!/bin/sh
# Restarts the service without refusing a client. One of the services codejail@a and codejail@b
# runs: this starts the other one. When the new service is up, this ends the old one, which first
# finishes its requests.
#
#   codejail-switch            as root
#
# Both share codejail.socket, so no client is refused. While both run, the host needs memory for the
# workers of both. If the new service does not come up, the old one goes on, and this fails.
set -eu

say() { echo "codejail-switch: $*"; }
fail() {
    say "$*" >&2
    exit 1
}

# Only one switch may run at a time: two would end each other's services.
if [ "${CODEJAIL_SWITCH_LOCKED-}" != yes ]; then
    CODEJAIL_SWITCH_LOCKED=yes exec flock --nonblock --conflict-exit-code 75 /run/codejail-switch.lock "$0" "$@"
fi
[ $# -eq 0 ] || fail "it takes no arguments"

is_up() { systemctl is-active --quiet "codejail@$1"; }

if is_up a && is_up b; then
    fail "codejail@a and codejail@b both run: end one with systemctl stop"
elif is_up a; then
    old=a new=b
elif is_up b; then
    old=b new=a
else
    say "neither codejail@a nor codejail@b runs: starting codejail@a"
    exec systemctl start codejail@a
fi

# If the new service still finishes its requests after an earlier switch, systemd first waits for
# its end. This command returns when a worker of the new service has passed the safety checks.
systemctl start "codejail@$new" ||
    fail "codejail@$new did not start, and codejail@$old goes on: see journalctl -u codejail@$new"
say "codejail@$new is up; codejail@$old finishes its requests"
systemctl stop "codejail@$old"
