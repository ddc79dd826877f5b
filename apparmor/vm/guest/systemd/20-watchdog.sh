# If the spawner or the supervisor of a service is stopped, systemd restarts the service.
# shellcheck shell=bash source=apparmor/vm/guest/systemd.sh disable=SC2154
source ./systemd.sh
install_package
drop_in codejail.service TimeoutStartSec=300 WatchdogSec=24 TimeoutAbortSec=5
start_unit codejail

restarted_after_stop_of() { # COUNT PID
    local deadline=$((SECONDS + patience_seconds))
    say "process $2 is stopped: $(tr '\0' ' ' <"/proc/$2/cmdline")"
    kill -STOP "$2"
    until [ "$(property codejail NRestarts)" -ge "$1" ] && [ "$(property codejail ActiveState)" = active ]; do
        [ "$SECONDS" -lt "$deadline" ] || {
            journalctl --no-pager -u codejail | tail -n 40
            fail "systemd must restart it"
        }
        sleep 0.5
    done
    [ "$(property codejail NRestarts)" -eq "$1" ] || fail "once for each"
    [ ! -e "/proc/$2" ] || fail "process $2 is still there"
    all_layers_are_on
    [ "$(execute 'x = 6 * 7')" = '{"globals_dict":{"x":42}}' ] || fail "it must execute"
}

supervisor=$(property codejail MainPID)
restarted_after_stop_of 1 "$(pgrep -P "$supervisor" -f 'codejail spawner')"
restarted_after_stop_of 2 "$(property codejail MainPID)"
journalctl --no-pager -u codejail | grep -F 'Watchdog timeout'
systemctl stop codejail
is_gone codejail
