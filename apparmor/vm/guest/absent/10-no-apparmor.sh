# The kernel was booted without AppArmor. If the layer is required, the service does not start. If
# it is `auto`, the service says that it is missing.
# shellcheck shell=bash disable=SC2154
[ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null || echo N)" = N ] ||
    fail "this boot has AppArmor, and was to have none"
if /payload/deploy/apparmor.sh load; then fail "load must fail"; fi
refuses_to_start 'this kernel does not enforce AppArmor' 'apparmor = "require"'
start_service 'apparmor = "auto"'
grep -F 'layer="apparmor"' "$log" || fail "the log must say so"
stop_service
"$codejail" check --config /etc/codejail.toml | tee "$logs/check"
grep -qE '^layer apparmor +none: this kernel' "$logs/check" || fail "check must say so"
