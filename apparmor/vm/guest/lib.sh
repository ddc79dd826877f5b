# What the scripts of all plans use. Sourced, with -euo pipefail.
# shellcheck shell=bash

codejail=/usr/local/lib/codejail/codejail
url=http://127.0.0.1:8080
# The guest is 12 to 19 times slower than its host, which others use too.
patience_seconds=300
# Of an execution. Some probes take as long as they may.
limit_seconds=10
logs=/payload/logs

say() { echo "$*"; }
fail() {
    echo "FAILED: $*"
    exit 1
}

# The configuration: what each check has, then what the caller adds ([layers]).
write_config() {
    cat >/etc/codejail.toml <<TOML
bind = "127.0.0.1:8080"
enabled = true
workers = ${workers:-1}
queue_wait_max_ms = 60000
scratch_bytes_max = 8388608
scratch_files_max = 1000

[python]
preload = ["six", "numpy"]

[limits]
REALTIME = $limit_seconds
CPU = $limit_seconds
VMEM = 268435456
FSIZE = 1048576

[cgroup]
memory_bytes_max = ${memory_bytes_max:-0}
pids_max = ${pids_max:-4096}

[layers]
$(printf '%s\n' "$@")
TOML
    # The service reads it as another user, too.
    chmod 644 /etc/codejail.toml
}

# Starts a service and waits until it answers that it is healthy. The log goes
# through a pipe: a confined service may not write to a file of anybody's choice.
#   start_service LAYER-LINE... [-- WRAPPER...]
start_service() {
    local lines=()
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        lines+=("$1")
        shift
    done
    [ $# -eq 0 ] || shift
    write_config "${lines[@]}"
    log=$logs/service-$(date +%s%N)
    "$@" "$codejail" serve --config /etc/codejail.toml > >(cat >"$log") 2>&1 &
    service=$!
    local deadline=$((SECONDS + patience_seconds))
    until curl -sf -m 10 -o /dev/null "$url/health/"; do
        if ! kill -0 "$service" 2>/dev/null; then
            cat "$log"
            say "the service ended before it was healthy"
            return 1
        fi
        # Unhealthy for good: the checks have run, and one has failed.
        if grep -q 'startup check failed' "$log"; then
            grep 'startup check' "$log"
            return 1
        fi
        if [ "$SECONDS" -ge "$deadline" ]; then
            cat "$log"
            say "the service was not healthy in $patience_seconds s"
            return 1
        fi
        sleep 0.5
    done
}

stop_service() {
    kill -TERM "$service" 2>/dev/null || true
    local status=0
    wait "$service" || status=$?
    [ "$status" -eq 0 ] || {
        cat "$log"
        fail "the service ended with status $status"
    }
}

# For what a script that failed has left.
end_all() {
    local pid
    for pid in $(pgrep -f '^/[a-z/]*/codejail serve' || true); do
        kill -INT "$pid" 2>/dev/null || true
        timeout 60 tail --pid="$pid" -f /dev/null
    done
}

# A service with these layers ends by itself, says so with status 78, and says why.
#   refuses_to_start TEXT LAYER-LINE...
refuses_to_start() {
    local text=$1 status=0
    shift
    write_config "$@"
    timeout "$patience_seconds" "$codejail" serve --config /etc/codejail.toml > >(cat >"$logs/refused") 2>&1 ||
        status=$?
    sed 's/^/said: /' "$logs/refused"
    [ "$status" -eq 78 ] || fail "it ended with status $status, and must refuse with 78"
    grep -qF "$text" "$logs/refused" || fail "it must say: $text"
}

# The probes against the service, with baits to go for: of another user, as the tests
# on a host have them. Says each that is skipped, and why; what all of them print is
# in the logs. Arguments go to codejail-api-tests.
probes() {
    local baits status=0 bait_process
    baits=/tmp/baits-$RANDOM$RANDOM
    results=$logs/probes-$RANDOM$RANDOM
    /payload/bin/codejail-api-tests baits --dir "$baits" --uid 349500000 >/dev/null &
    bait_process=$!
    until [ -e "$baits/baits.json" ]; do
        kill -0 "$bait_process" || return 1
        sleep 0.1
    done
    /payload/bin/codejail-api-tests --base-url "$url" --baits "$baits/baits.json" --jobs 2 \
        --limit CPU="$limit_seconds" --limit REALTIME="$limit_seconds" --limit VMEM=268435456 \
        --limit FSIZE=1048576 --limit SPACE=8388608 --limit INODES=1000 "$@" >"$results" 2>&1 || status=$?
    kill "$bait_process"
    wait "$bait_process" || true
    grep -E -A 1 '^probe .*FAILED' "$results" || true
    grep -E '^probe .*skipped' "$results" || true
    tail -n 1 "$results"
    return "$status"
}

# Where layers are off, what they alone guard may be done; harm may not. Prints all that
# is done. EXCEPTED are names of harm, in one word, that those layers have to hold.
#   no_harm EXCEPTED ARGUMENT...
no_harm() {
    local excepted=$1 name done_harm=()
    shift
    probes "$@" || true
    grep -qE '^[0-9]+ passed, ' <(tail -n 1 "$results") || fail "the probes did not come to an end"
    while read -r name; do
        [[ " $excepted " == *" $name "* ]] || done_harm+=("$name")
    done < <(grep -Fxf <(sed -n 's/^probe \(.*\) \.\.\. FAILED$/\1/p' "$results") \
        <(/payload/bin/codejail-api-tests --list | awk -F '\t' '$3 != "surface" { print $1 }') || true)
    [ "${#done_harm[@]}" -eq 0 ] || fail "harm was done, or what must work did not: ${done_harm[*]}"
}

# One execution; prints the answer.
execute() {
    curl -s -m 120 "$url/api/v0/code-exec" --data-urlencode \
        "payload=$(python3 -c 'import json, sys; print(json.dumps({"code": sys.argv[1], "globals_dict": {}}))' "$1")"
}

# The denials since a mark in the kernel's log.
mark() {
    mark=mark-$RANDOM$RANDOM
    echo "codejail $mark" >/dev/kmsg
}
denials() { dmesg | sed -n "/$mark/,\$p" | grep 'apparmor="DENIED"' || true; }
no_denials() {
    local found
    found=$(denials)
    [ -z "$found" ] || {
        echo "$found"
        say "AppArmor denied what $1 needs"
        return 1
    }
}

# Processes of the service with what each is under, as a table.
processes() {
    local pid
    printf '%6s %6s %10s  %-44s %s\n' PID PPID UID 'attr/apparmor/current' COMMAND
    for pid in $(pgrep -f 'codejail (serve|spawner)|jailed_code'); do
        printf '%6s %6s %10s  %-44s %s\n' "$pid" \
            "$(awk '/^PPid:/ { print $2 }' "/proc/$pid/status")" \
            "$(awk '/^Uid:/ { print $2 }' "/proc/$pid/status")" \
            "$(tr -d '\n\0' <"/proc/$pid/attr/apparmor/current")" \
            "$(tr '\0' ' ' <"/proc/$pid/cmdline")"
    done 2>/dev/null
}

# How many processes are under exactly this label.
under() { processes | grep -cF "  $1 " || true; }

# The course's library, which a sandbox puts in place when it is under its profile.
with_library() {
    local answer
    python3 - <<'PYTHON'
import zipfile

with zipfile.ZipFile("/tmp/python_lib.zip", "w") as library:
    library.writestr("bounds.py", "upper = 17\n")
PYTHON
    answer=$(curl -s -m 120 "$url/api/v0/code-exec" \
        -F 'payload={"code": "import bounds, numpy\nx = int(numpy.sum([bounds.upper, 1]))\ndel bounds, numpy", "globals_dict": {}, "python_path": ["python_lib.zip"]}' \
        -F 'python_lib.zip=@/tmp/python_lib.zip')
    say "with a library: $answer"
    [ "$answer" = '{"globals_dict":{"x":18}}' ]
}

# A service with AppArmor required does all that it must do, and AppArmor denies
# nothing of it. Not a script's `fail`: mutations want to see it go wrong.
#   legitimate LAYER-LINE...
legitimate() {
    mark
    start_service "$@" || return 1
    # One that must be killed: its client hangs up, its worker ends it, or the run
    # would go on to its limit.
    curl -s -m 3 -o /dev/null "$url/api/v0/code-exec" \
        --data-urlencode 'payload={"code": "while True: pass", "globals_dict": {}}' || true
    probes --group works || return 1
    with_library || return 1
    no_denials "an execution" || return 1
    if grep -E 'worker lost|did not take an order' "$log"; then
        return 1
    fi
    stop_service
    no_denials "the end of the service"
}
