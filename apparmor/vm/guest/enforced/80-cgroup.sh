# A cgroup for each worker, where the whole of version 2 is there to be delegated: memory
# and threads are bounded, and what a worker leaves is killed by it alone.
# shellcheck shell=bash disable=SC2034,SC2154
service_group=/sys/fs/cgroup/codejail.service
echo '+memory +pids' >/sys/fs/cgroup/cgroup.subtree_control
mkdir "$service_group"
# As systemd marks what it hands over (Delegate=yes).
python3 -c 'import os, sys; os.setxattr(sys.argv[1], "trusted.delegate", b"1")' "$service_group"
memory_bytes_max=200000000
pids_max=60
# Becomes the service: a function would be a process more, that gets the signals.
# shellcheck disable=SC2016 # that shell's
in_group=(sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$service_group")

mark
start_service 'apparmor = "require"' 'cgroup = "require"' 'mounts = "off"' 'namespaces = "off"' -- "${in_group[@]}"
worker_group=$(echo "$service_group"/codejail-*/worker-*)
[ "$(cat "$worker_group/memory.max")" -le 200000000 ] || fail "memory.max must be set"
[ "$(cat "$worker_group/pids.max")" -eq 60 ] || fail "pids.max must be set"

# Within the limit of the run itself, which is 256 MiB more than the interpreter maps.
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
if compgen -G "$service_group/codejail-*" >/dev/null; then fail "the service must remove its cgroups"; fi

# Threads: more than pids.max are not to be had, where the run's own limit would let it.
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
started=$(sed -n 's/^{"globals_dict":{"x":\([0-9]*\)}}$/\1/p' <<<"$answer")
[ "${started:-99}" -lt 10 ] || fail "threads over pids.max must be refused"

# A worker that is killed takes all that is in its cgroup along.
mapfile -t before < <(cat "$service_group"/codejail-*/worker-*/cgroup.procs)
[ "${#before[@]}" -ge 2 ] || fail "a worker and its sandboxes must be in the cgroup"
stop_service
for pid in "${before[@]}"; do
    [ ! -e "/proc/$pid" ] || fail "process $pid is still there"
done
rmdir "$service_group"
