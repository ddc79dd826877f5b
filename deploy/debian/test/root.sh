#!/usr/bin/env bash
# Runs in the root file system that in-root.sh makes.
set -euo pipefail

url=http://127.0.0.1:8080
# Enough for a start with all libraries preloaded, on a busy machine.
healthy_seconds_max=120
config=/etc/codejail/codejail.toml

# shellcheck source=deploy/debian/test/upgrade.sh
source /test/upgrade.sh

step() { echo "== $*"; }
fail() {
    echo "FAILED: $*"
    exit 1
}

# Prints every file and account. It leaves out what is mounted or temporary, and what dpkg and apt
# keep about packages.
everything() {
    find / \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /test \
        -o -path /sandbox -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/log -o -path /var/cache \
        \) -prune -o -print | sort
    cut -d : -f 1 /etc/passwd /etc/group | sort
}

start() {
    /usr/lib/codejail/codejail serve --config "$config" >/tmp/log 2>&1 &
    service=$!
    local deadline=$((SECONDS + healthy_seconds_max))
    until curl -sf -m 2 -o /dev/null "$url/health/"; do
        if ! kill -0 "$service" 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
            cat /tmp/log
            fail "the service is not healthy"
        fi
        sleep 0.2
    done
}
stop() {
    kill -TERM "$service"
    wait "$service" || {
        cat /tmp/log
        fail "the service ended with status $?"
    }
}
until_200() { # PATH
    local deadline=$((SECONDS + healthy_seconds_max))
    until curl -sf -m 10 -o /dev/null "$url$1"; do
        [ "$SECONDS" -lt "$deadline" ] || fail "$1 is not 200: $(curl -s -m 10 "$url$1")"
        sleep 0.2
    done
}
answers() {
    local answer
    answer=$(curl -s -m 20 "$url/api/v0/code-exec" --data-urlencode 'payload={"code": "x = 1 + 1", "globals_dict": {}}')
    [ "$answer" = '{"globals_dict":{"x":2}}' ] || fail "an execution was answered $answer"
}

everything >/tmp/before

step "install"
apt-get -qq install --yes --no-install-recommends /test/codejail_*.deb
getent passwd codejail >/dev/null || fail "no account"
[ -L /etc/apparmor.d/codejail-worker ] || fail "the profiles are not where a boot loads them from"
for program in codejail codejail-venv codejail-switch; do
    command -v "$program" >/dev/null || fail "no $program"
done
codejail --version

step "a venv for sandboxes"
PIP_NO_INDEX=1 PIP_FIND_LINKS=/test/wheels codejail-venv create /tmp/venv --requirements /test/requirements.txt
CODEJAIL_PYTHON__BIN=/tmp/venv/bin/python CODEJAIL_PYTHON__PRELOAD=six codejail check --config "$config" ||
    fail "codejail check finds a fault in it"

step "run, not enabled yet"
start
grep -q 'enabled' /tmp/log || fail "it does not say that it is not enabled"
[ "$(curl -s -o /dev/null -w '%{http_code}' "$url/api/v0/code-exec" --data-urlencode 'payload={"code": "", "globals_dict": {}}')" = 500 ] ||
    fail "it executes"
# Requires these layers: if one of them is not on, the service does not start.
sed -i -E 's/^# (namespaces|mounts|landlock) = /\1 = /' "$config"
stop
start
sed -i 's/^enabled = false/enabled = true/' "$config"
kill -HUP "$service"
until_200 /readyz
answers

step "probes"
/usr/lib/codejail/codejail-api-tests decoys --dir /tmp/decoys --uid 349500000 >/dev/null &
decoys=$!
until [ -e /tmp/decoys/decoys.json ]; do sleep 0.1; done
/usr/lib/codejail/codejail-api-tests --base-url "$url" --decoys /tmp/decoys/decoys.json --jobs 2 --limit CPU=3 --limit REALTIME=3 \
    --limit VMEM=536870912 --limit FSIZE=10485760 --limit SPACE=67108864 --limit INODES=16384 >/tmp/probes 2>&1 || {
    grep -A 2 FAILED /tmp/probes
    fail "probes"
}
tail -n 1 /tmp/probes
kill "$decoys"
wait "$decoys" || true

step "upgrade of a service that serves requests; the edited configuration stays"
stop
upgrade_under_requests
grep -q '^enabled = true' "$config" || fail "the configuration was overwritten"

step "purge of a service that runs"
apt-get -qq purge --yes codejail
everything >/tmp/after
diff /tmp/before /tmp/after || fail "the purge left, or removed, these files and accounts"
! pgrep -x codejail >/dev/null || fail "a process is left"
[ -z "$(find /run /tmp -name '*codejail*')" ] || fail "left: $(find /run /tmp -name '*codejail*')"
echo "deb: all of it passed"
