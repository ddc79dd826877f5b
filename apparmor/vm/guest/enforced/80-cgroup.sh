# A cgroup for each worker, on a host that delegates all controllers of version 2. The cgroup bounds
# memory (memory.max) and threads (pids.max), and it alone kills what a worker leaves (cgroup.kill).
# shellcheck shell=bash disable=SC2034,SC2154
service_group=/sys/fs/cgroup/codejail.service
echo '+memory +pids' >/sys/fs/cgroup/cgroup.subtree_control
mkdir "$service_group"
# systemd sets this attribute on a cgroup that it delegates (Delegate=yes).
python3 -c 'import os, sys; os.setxattr(sys.argv[1], "trusted.delegate", b"1")' "$service_group"
memory_bytes_max=200000000
pids_max=60
# The shell joins the cgroup and then becomes the service (exec). A function would leave a shell
# between, and that would get the signals.
# shellcheck disable=SC2016 # that shell's
in_group=(sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$service_group")

# A service that has ended must have removed its cgroups.
no_cgroups() {
    local stay
    stay=$(compgen -G "$service_group/codejail-*") || return 0
    find "$service_group" -name cgroup.procs -exec grep -H . {} + || true
    cat "$log"
    fail "the service must remove its cgroups: $stay"
}

mark
start_service 'apparmor = "require"' 'cgroup = "require"' 'mounts = "off"' 'namespaces = "off"' -- "${in_group[@]}"
worker_group=$(echo "$service_group"/codejail-*/worker-*)
[ "$(cat "$worker_group/memory.max")" -le 200000000 ] || fail "memory.max must be set"
[ "$(cat "$worker_group/pids.max")" -eq 60 ] || fail "pids.max must be set"

# The run's own limit allows this: VMEM is 256 MiB more than the interpreter maps.
answer=$(execute "
pieces = [bytearray(b'x') * 100_000_000 for _ in range(2)]
x = 1")
say "200 MB and the worker: $answer"
grep -H . "$service_group"/memory.events
grep -q '"emsg"' <<<"$answer" || fail "what takes more than the cgroup has must be ended"
grep -qE '^oom_kill [1-9]' "$service_group/memory.events" || fail "the kernel must have killed it for its memory"
deadline=$((SECONDS + patience_seconds))
until [ "$(execute 'x = 6 * 7')" = '{"globals_dict":{"x":42}}' ]; do
    [ "$SECONDS" -lt "$deadline" ] || fail "the service must go on"
    sleep 0.5
done
say "and the service goes on"
stop_service
no_denials "a service with cgroups"
no_cgroups

# A run can't have more threads than pids.max, though its own limit is higher.
pids_max=10
start_service 'apparmor = "require"' 'cgroup = "require"' -- "${in_group[@]}"
answer=$(execute "
import threading
stop, started = threading.Event(), 0
try:
    for _ in range(14):
        threading.Thread(target=stop.wait).start()
        started += 1
except RuntimeError:
    pass
stop.set()
x = started")
say "threads with pids.max 10: $answer"
started=$(sed -n 's/^{"globals_dict":{.*"x":\([0-9]*\)}}$/\1/p' <<<"$answer")
[ "${started:-99}" -lt 10 ] || fail "threads over pids.max must be refused"

stop_service
no_cgroups

# cgroup.kill must end a process that a run has left. In the build without seccomp and
# rlimits a run can leave one, and without a PID namespace nothing else ends it with its
# worker. With the cgroup the process ends when its worker is killed; without it, it stays.
install -m 755 /payload/sabotage/codejail /payload/sabotage/libcodejail_worker.so /usr/local/lib/codejail/
memory_bytes_max=0 pids_max=4096

# Has a run leave a process, then kills the run's worker. $left is the number of the process.
leaves_one() { # CGROUP-MODE
    local answer worker deadline
    start_service 'apparmor = "require"' "cgroup = \"$1\"" 'mounts = "off"' 'namespaces = "off"' \
        'seccomp = "off"' 'rlimits = "off"' -- "${in_group[@]}"
    answer=$(execute "
import os, time
reads, writes = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(writes, str(os.getpid()).encode())
        for descriptor in range(256):
            try:
                os.close(descriptor)
            except OSError:
                pass
        while True:
            time.sleep(1000)
    os._exit(0)
os.wait()
x = int(os.read(reads, 16))
del os, time, reads, writes")
    say "what a run left: $answer"
    left=$(sed -n 's/^{"globals_dict":{"x":\([0-9]*\)}}$/\1/p' <<<"$answer")
    [ -n "$left" ] || fail "the run must have left a process"
    [ -e "/proc/$left" ] || fail "it ended with its run"
    cat "/proc/$left/cgroup"
    worker=$(processes | awk '$4 == "codejail-worker" { print $1 }')
    say "worker $worker is killed"
    kill -KILL "$worker"
    deadline=$((SECONDS + patience_seconds))
    until processes | awk -v before="$worker" '$4 == "codejail-worker" && $1 != before { found = 1 } END { exit !found }'; do
        [ "$SECONDS" -lt "$deadline" ] || fail "no worker comes after it"
        sleep 0.5
    done
    [ "$(execute 'x = 6 * 7')" = '{"globals_dict":{"x":42}}' ] || fail "the service must go on"
}

leaves_one require
[ ! -e "/proc/$left" ] || fail "process $left is still there"
say "and with it what the run had left"
stop_service
no_cgroups

leaves_one off
[ -e "/proc/$left" ] || fail "without the cgroup it must have stayed: the check shows nothing"
say "without the cgroup it stays"
kill -KILL "$left"
stop_service
rmdir "$service_group"
