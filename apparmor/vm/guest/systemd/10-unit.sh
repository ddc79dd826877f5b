# The unit starts, is up when a worker has passed its checks, has every layer, reloads, refuses a
# wrong reload, and ends.
# shellcheck shell=bash source=apparmor/vm/guest/systemd.sh disable=SC2154
source ./systemd.sh
install_package
systemd-analyze verify --man=no codejail.service codejail.socket codejail@b.service

mark
start_unit codejail
all_layers_are_on
say "status: $(property codejail StatusText)"
[ "$(property codejail StatusText)" = '1 worker serves' ] || fail "the status must be in words"
service=$(property codejail MainPID)
processes
no_denials "a start under systemd"

[ "$(execute 'x = 6 * 7')" = '{"globals_dict":{"x":42}}' ] || fail "it must execute"

say "codejail check, with what the unit has:"
cat >/run/systemd/system/codejail-check.service <<UNIT
[Service]
Type=oneshot
Delegate=yes
ExecStart=$codejail check --config /etc/codejail/codejail.toml
UNIT
systemctl daemon-reload
systemctl start codejail-check || fail "check must find that a service would serve"
journalctl --no-pager -o cat -u codejail-check | tee "$logs/check"
[ "$(grep -cE '^layer .* on: ' "$logs/check")" -eq 8 ] || fail "check must call eight layers on"

sed -i 's/^REALTIME = .*/REALTIME = 9/' /etc/codejail/codejail.toml
systemctl reload codejail
journal() { journalctl --no-pager -o cat -u codejail; }
wait_for() { # TEXT
    local deadline=$((SECONDS + patience_seconds))
    until journal | grep -qF "$1"; do
        [ "$SECONDS" -lt "$deadline" ] || fail "the log must have: $1"
        sleep 0.5
    done
}
wait_for 'limits.REALTIME 10.0 -> 9.0 (at once)'
wait_for 'the configuration was read; workers are replaced'
sed -i 's/^REALTIME = .*/REALTIME = "long"/' /etc/codejail/codejail.toml
! systemctl reload codejail || fail "a wrong configuration must fail the reload"
[ "$(property codejail ActiveState)" = active ] || fail "and the service must go on"
[ "$(property codejail MainPID)" -eq "$service" ] || fail "as the same process"
write_configuration

systemctl stop codejail
is_gone codejail
no_denials "a service under systemd"
