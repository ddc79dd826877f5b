# With AppArmor required the service does everything that it must do, each process is under its
# profile, and all probes pass.
# shellcheck shell=bash disable=SC2034,SC2154
# On a busy host some probes take more than 10 s.
workers=2 preload=$every_library limit_seconds=20
legitimate 'apparmor = "require"'

mark
start_service 'apparmor = "require"'
processes
for label in 'codejail-supervisor (enforce)' 'codejail-spawner (enforce)'; do
    [ "$(under "$label")" -eq 1 ] || fail "one process must be $label"
done
[ "$(under 'codejail-worker (enforce)')" -eq 2 ] || fail "two workers must be codejail-worker (enforce)"
sandboxes=$(processes | grep -cE ' codejail-sandbox//&codejail-worker \(enforce\) ')
[ "$sandboxes" -ge 2 ] || fail "each worker's sandboxes must be under both profiles"
[ "$(processes | tail -n +2 | wc -l)" -eq $((4 + sandboxes)) ] || fail "a process is under something else"

probes
say "denials while code tried what it may not:"
denials
stop_service
# No author's code runs in these two processes. So each denial shows that a rule is missing.
! denials | grep -E 'profile="codejail-(supervisor|spawner)"' || fail "the service was denied what it needs"

say "codejail check says:"
"$codejail" check --config /etc/codejail.toml | cat | tee "$logs/check"
grep -qE '^layer apparmor +on' "$logs/check" || fail "check must call the layer on"
[ "$(grep -cE '^profile .*: enforce$' "$logs/check")" -eq 4 ] || fail "check must show four profiles"
