# Functions for the scripts of all plans. Sourced, with -euo pipefail.
# shellcheck shell=bash

codejail=/usr/local/lib/codejail/codejail
url=http://127.0.0.1:8080
# The guest is 12 to 19 times slower than its host, and the host has other users.
patience_seconds=300
# The longest time for all probes: in the slowest guest that was seen they took 300 s.
probes_seconds_max=1800
# The limit of an execution. Some probes run until it ends them.
limit_seconds=10
# For checks that try every library: these are preloaded, since the first import of sympy alone
# takes 18 s in a guest.
# shellcheck disable=SC2034 # the scripts'
every_library='"six", "numpy", "scipy.linalg", "sympy", "networkx", "lxml.etree",
    "cryptography.hazmat.primitives.hashes", "pyparsing", "random2", "calc", "chem.chemcalc",
    "matplotlib.pyplot"'
# A variable of its own: written as the default in `${preload:-...}` below, the value would lose its
# quotes.
few_libraries='"six", "numpy"'
logs=/payload/logs

say() { echo "$*"; }
fail() {
    echo "FAILED: $*"
    exit 1
}

# Writes the configuration: what all checks have in common, then the caller's lines of [layers].
write_config() {
    cat >/etc/codejail.toml <<TOML
bind = "127.0.0.1:8080"
enabled = true
workers = ${workers:-1}
queue_wait_max_ms = 60000
scratch_bytes_max = 8388608
scratch_files_max = 1000

[python]
preload = [${preload:-$few_libraries}]

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
    # The service also reads it as another user.
    chmod 644 /etc/codejail.toml
}

# Starts a service and waits until it answers that it is healthy. The log goes through a pipe: under
# AppArmor the service may not write to that file itself.
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
    # Opened here: the process that copies the log is a child of this shell, not of the service.
    local pipe
    exec {pipe}> >(cat >"$log")
    "$@" "$codejail" serve --config /etc/codejail.toml >&"$pipe" 2>&1 {pipe}>&- &
    service=$!
    exec {pipe}>&-
    local deadline=$((SECONDS + patience_seconds))
    until curl -sf -m 10 -o /dev/null "$url/health/"; do
        if ! kill -0 "$service" 2>/dev/null; then
            cat "$log"
            say "the service ended before it was healthy"
            return 1
        fi
        # The service stays unhealthy: a startup check has failed.
        if grep -q 'event="startup_check_failed"' "$log"; then
            grep 'event="startup_check_' "$log"
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

# Ends the services that a failed script has left running.
end_all() {
    local pid
    for pid in $(pgrep -f '^/[a-z/]*/codejail serve' || true); do
        kill -INT "$pid" 2>/dev/null || true
        timeout 60 tail --pid="$pid" -f /dev/null
    done
}

# A service with these layers must end by itself, with status 78, and say why.
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

# The probes against the service, with decoys that belong to another user, as in the tests on a
# host. Fails unless each chosen probe has run and has an outcome. A probe may be skipped only if it
# needs a limit that the arguments switch off. The file $results has the output of all.
#   run_probes ARGUMENT-OF-CODEJAIL-API-TESTS...
run_probes() {
    local decoys decoy_process status=0 chosen ran
    decoys=/tmp/decoys-$RANDOM$RANDOM
    results=$logs/probes-$RANDOM$RANDOM
    # Costs are judged only beside a victim (--victim).
    chosen=$(/payload/bin/codejail-api-tests --list "$@" | cut -f 2 | grep -cvx costs) || true
    [ "$chosen" -gt 0 ] || { say "no probe is chosen by $*"; return 1; }
    /payload/bin/codejail-api-tests decoys --dir "$decoys" --uid 349500000 >/dev/null &
    decoy_process=$!
    until [ -e "$decoys/decoys.json" ]; do
        kill -0 "$decoy_process" || return 1
        sleep 0.1
    done
    timeout "$probes_seconds_max" \
        /payload/bin/codejail-api-tests --base-url "$url" --decoys "$decoys/decoys.json" --jobs 2 \
        --limit CPU="$limit_seconds" --limit REALTIME="$limit_seconds" --limit VMEM=268435456 \
        --limit FSIZE=1048576 --limit SPACE=8388608 --limit INODES=1000 "$@" >"$results" 2>&1 || status=$?
    kill "$decoy_process"
    wait "$decoy_process" || true
    grep -E -A 1 '^probe .*FAILED' "$results" || true
    grep -E '^probe .*skipped' "$results" || true
    tail -n 1 "$results"
    # 0: all is as it must be. 1: a probe has a wrong outcome. Every other status is a failure of
    # the program.
    ran=$(grep -cE '^probe .* \.\.\. (ok|FAILED|skipped)' "$results") || true
    if [ "$status" -gt 1 ] || [ "$ran" -ne "$chosen" ] || ! tail -n 1 "$results" | grep -qE '^[0-9]+ passed, '; then
        tail -n 5 "$results"
        say "the probes ended with status $status; $ran of $chosen ran"
        return 1
    fi
    local unlimited=() argument
    for argument in "$@"; do
        case $argument in *=0) unlimited+=(-e "has no limit ${argument%=0}:") ;; esac
    done
    if grep -E '^probe .* skipped' "$results" | grep -vF "${unlimited[@]:-skips nothing}"; then
        say "probes were skipped that must run"
        return 1
    fi
}

# Runs the probes. None may fail.
probes() {
    run_probes "$@" || return 1
    ! grep -qE '^probe .* FAILED$' "$results"
}

# Prints a line for each probe that failed: its name, its kind (harm, surface, works) and the wrong
# outcome (succeeded, denied, broken).
failed_probes() {
    awk -F '\t' '
        NR == FNR { kind[$1] = $3; next }
        /^probe .* \.\.\. FAILED$/ { split($0, words, " "); name = words[2]; next }
        name != "" { sub(/^ +/, ""); sub(/:.*/, ""); print name, kind[name], $0; name = "" }
    ' <(/payload/bin/codejail-api-tests --list) "$results"
}

# If layers are off, attacks that only these layers stop may succeed (kind `surface`). Attacks of
# the kind `harm` must not succeed, and programs that must work have to work. A broken probe shows
# nothing, whatever its kind.
#   no_harm ARGUMENT...
no_harm() {
    local bad
    run_probes "$@" || fail "the probes did not all run"
    bad=$(failed_probes | awk '!($2 == "surface" && $3 == "succeeded")')
    [ -z "$bad" ] || fail "harm was done, or what must work did not, or a probe is broken:
$bad"
}

# One execution; prints the answer.
execute() {
    curl -s -m 120 "$url/api/v0/code-exec" --data-urlencode \
        "payload=$(python3 -c 'import json, sys; print(json.dumps({"code": sys.argv[1], "globals_dict": {}}))' "$1")"
}

# The denials in the kernel's log since a mark.
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

# A table of every process of the service (all descendants of its first one, whatever their names)
# and the profile of each.
processes() {
    local pid
    printf '%6s %6s %10s  %-44s %s\n' PID PPID UID 'attr/apparmor/current' COMMAND
    for pid in $(ps -e -o pid=,ppid= | awk -v first="$service" '
        { above[$1] = $2 }
        END { for (pid in above) { p = pid; while (p > 1 && p != first) p = above[p]; if (p == first) print pid } }' |
        sort -n); do
        # A process that has ended meanwhile has no line.
        printf '%6s %6s %10s  %-44s %s\n' "$pid" \
            "$(awk '/^PPid:/ { print $2 }' "/proc/$pid/status")" \
            "$(awk '/^Uid:/ { print $2 }' "/proc/$pid/status")" \
            "$(tr -d '\n\0' <"/proc/$pid/attr/apparmor/current")" \
            "$(tr '\0' ' ' <"/proc/$pid/cmdline")"
    done 2>/dev/null
}

# The number of processes that are under exactly this label.
under() { processes | grep -cF "  $1 " || true; }

# Executes with a course library: a sandbox writes the library when it is under its profile.
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

works=()
# A service that requires AppArmor does everything that it must do, and AppArmor denies none of it.
# This function does not call `fail`, since 60-mutations.sh expects it to return 1. It runs the
# probes of the group `works` that ${works[@]} names, or all of them if that is empty.
#   legitimate LAYER-LINE...
legitimate() {
    mark
    start_service "$@" || return 1
    # An execution that must be killed: its client hangs up, so its worker must kill it before the
    # run's limit ends it.
    curl -s -m 3 -o /dev/null "$url/api/v0/code-exec" \
        --data-urlencode 'payload={"code": "while True: pass", "globals_dict": {}}' || true
    probes --group works "${works[@]}" || return 1
    with_library || return 1
    no_denials "an execution" || return 1
    if grep -E 'worker lost|did not take an order' "$log"; then
        return 1
    fi
    stop_service
    no_denials "the end of the service"
}
