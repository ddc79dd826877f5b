#!/usr/bin/env bash
# Starts the service for a developer, in the foreground.
#
#   scripts/run.sh CODEJAIL PYTHON [HOST:PORT]
#
# CODEJAIL is the binary, PYTHON the sandbox venv's bin/python. Once the service is healthy the
# script prints a request to try. On Ctrl-C or SIGTERM the service finishes its running requests.
# The script's exit status is the service's.
set -euo pipefail

if [ $# -lt 2 ] || [ $# -gt 3 ]; then
    echo "usage: ${0##*/} CODEJAIL PYTHON [HOST:PORT]" >&2
    exit 64
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
codejail=$1
python=$2
bind=${3:-127.0.0.1:8080}
startup_seconds_max=60

if (exec 3<>"/dev/tcp/${bind%:*}/${bind##*:}") 2>/dev/null; then
    echo "Something already listens on $bind. For another address: make run BIND=127.0.0.1:8081" >&2
    exit 1
fi

# The service reads this file again on SIGHUP, as the unprivileged user that it has become.
config=$(mktemp --tmpdir dev-codejail-XXXXXX.toml)
chmod 644 "$config"
service=
# Sends the service a signal. The first is TERM. Each later one is INT, which ends it at once.
stop() { # SIGNAL
    [ -z "$service" ] || kill -s "$1" "$service" 2>/dev/null || true
}
trap 'stop TERM; trap "stop INT" TERM INT HUP' TERM INT HUP
trap 'rm -f "$config"' EXIT
"$here/dev-config.sh" "$python" "$bind" >"$config"

# A session of its own, so that Ctrl-C reaches the service only through this script.
setsid "$codejail" serve --config "$config" &
service=$!

# Waits until the service has ended, even if signals interrupt `wait`. Returns its status.
wait_for_service() {
    local status
    while true; do
        status=0
        wait "$service" || status=$?
        kill -0 "$service" 2>/dev/null || return "$status"
    done
}

echo "Starting on http://$bind (configuration: $config)"
deadline=$((SECONDS + startup_seconds_max))
until curl -sf -m 2 -o /dev/null "http://$bind/health/"; do
    if ! kill -0 "$service" 2>/dev/null; then
        wait_for_service && exit 0 || exit $?
    fi
    if [ "$SECONDS" -ge "$deadline" ]; then
        echo "Not healthy after $startup_seconds_max s. /health/ says:" >&2
        curl -s -m 2 "http://$bind/health/" >&2 || true
        stop TERM
        wait_for_service || true
        exit 1
    fi
    sleep 0.2
done

cat <<EOT

Healthy. Ctrl-C stops it. Try:

    curl http://$bind/api/v0/code-exec --data-urlencode 'payload={"code": "x = 1 + 1", "globals_dict": {}}'

EOT
wait_for_service
