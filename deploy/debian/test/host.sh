#!/usr/bin/env bash
# Does what an operator does. It runs in a guest that on-hosts.sh has started, under systemd.
set -euo pipefail
cd /payload
exec > >(tee report) 2>&1

url=http://127.0.0.1:8080
config=/etc/codejail/codejail.toml
# The guest is 12 to 19 times slower than its host, which others use too.
patience_seconds=300
export DEBIAN_FRONTEND=noninteractive

step() { echo "== $* ($SECONDS s)"; }
fail() {
    echo "FAILED: $*"
    journalctl --no-pager --unit codejail | tail -n 40
    dmesg | grep 'apparmor="DENIED"' | tail -n 20
    exit 1
}
until_200() { # PATH
    local deadline=$((SECONDS + patience_seconds))
    until curl -sf -m 10 -o /dev/null "$url$1"; do
        [ "$SECONDS" -lt "$deadline" ] || fail "$1 is not 200: $(curl -s -m 10 "$url$1")"
        sleep 0.5
    done
}
execute() { curl -s -m 60 "$url/api/v0/code-exec" --data-urlencode 'payload={"code": "x = 1 + 1", "globals_dict": {}}'; }
answers() {
    local answer
    answer=$(execute)
    [ "$answer" = '{"globals_dict":{"x":2}}' ] || fail "an execution was answered $answer"
}

[ "$(cat /proc/1/comm)" = systemd ] || fail "process 1 is not systemd"

step "install"
apt-get -qq install --yes ./codejail_*.deb || fail "apt-get install"
! systemctl is-active --quiet codejail || fail "it was started before it was told to"
for profile in supervisor spawner worker sandbox; do
    grep -q "^codejail-$profile (enforce)" /sys/kernel/security/apparmor/profiles || fail "codejail-$profile is not enforced"
done

step "edit one file"
# In the emulated guest an import takes twenty times as long. So fewer libraries are preloaded, and
# a run gets more time.
python3 - "$config" <<'PYTHON'
import re
import sys

text = open(sys.argv[1]).read()
text = re.sub(r"preload = \[.*?\n\]", 'preload = ["six", "numpy"]', text, flags=re.S)
text = re.sub(r"^(CPU|REALTIME) = .*", r"\1 = 20", text, flags=re.M)
text = re.sub(r"^queue_wait_max_ms = .*", "queue_wait_max_ms = 60000", text, flags=re.M)
text = re.sub(r"^# (\w+) = \"require\"", r'\1 = "require"', text, flags=re.M)
open(sys.argv[1], "w").write(text)
PYTHON
grep '"require"' "$config"

step "enable --now"
systemctl enable --now codejail || fail "systemctl enable --now"
until_200 /health/
code=$(curl -s -o /dev/null -w '%{http_code}' "$url/api/v0/code-exec" --data-urlencode 'payload={"code": "", "globals_dict": {}}')
[ "$code" = 500 ] || fail "not enabled, and it answers $code"

step "one more key"
sed -i 's/^enabled = false/enabled = true/' "$config"
systemctl reload codejail || fail "systemctl reload"
until_200 /readyz
answers

step "all layers"
curl -s "$url/health/" >health.json
python3 - health.json <<'PYTHON' || fail "a layer is off"
import json
import sys

health = json.load(open(sys.argv[1]))
layers = health["layers"]
for layer in layers:
    print("  ", layer)
text = json.dumps(layers)
assert len(layers) == 8, text
assert '"on": false' not in text and '"on":false' not in text, text
PYTHON
for process in /proc/[0-9]*; do
    label=$(tr -d '\0' <"$process/attr/apparmor/current" 2>/dev/null || true)
    case $label in codejail-*) echo "   $label" ;; esac
done | sort | uniq -c | tee labels
for label in supervisor spawner worker; do
    grep -q "codejail-$label " labels || fail "no process is under codejail-$label"
done
grep -q 'codejail-sandbox' labels || fail "no sandbox is under its profile"

step "probes"
api_tests=/usr/lib/codejail/codejail-api-tests
groups=$("$api_tests" --list | cut -f 2 | sort -u | grep -v works)
arguments=()
for group in $groups; do arguments+=(--group "$group"); done
"$api_tests" decoys --dir /tmp/decoys --uid 349500000 >/dev/null &
decoys=$!
until [ -e /tmp/decoys/decoys.json ]; do sleep 0.1; done
"$api_tests" --base-url "$url" --decoys /tmp/decoys/decoys.json --jobs 2 --limit CPU=20 --limit REALTIME=20 --limit VMEM=536870912 \
    --limit FSIZE=10485760 --limit SPACE=67108864 --limit INODES=16384 "${arguments[@]}" >probed 2>&1 || {
    grep -A 2 FAILED probed || true
    tail -n 3 probed
    fail "probes"
}
tail -n 1 probed
kill "$decoys"
wait "$decoys" || true
rm -rf /tmp/decoys

denied=$(dmesg | grep 'apparmor="DENIED"' | grep -v 'profile="codejail-\(sandbox\|worker\)' || true)
[ -z "$denied" ] || fail "AppArmor denied what the service needs: $denied"

step "upgrade"
answers
apt-get -qq install --yes ./next/codejail_*.deb || fail "the upgrade"
until_200 /readyz
answers
grep -q '^enabled = true' "$config" || fail "the configuration was overwritten"

step "purge"
apt-get -qq purge --yes codejail || fail "the purge"
! pgrep -x codejail >/dev/null || fail "a process is left"
! grep codejail /sys/kernel/security/apparmor/profiles || fail "profiles are left in the kernel"
left=$(find / -xdev \( -path /proc -o -path /sys -o -path /payload -o -path /sandbox -o -path /var/log \
    -o -path /var/lib/dpkg -o -path /var/cache -o -path /var/lib/apt \) -prune -o -iname '*codejail*' -print)
[ -z "$left" ] || fail "left: $left"
echo "host: all of it passed ($SECONDS s)"
