# If a required layer is not enforced, the service does not start. If the layer is `auto`, the
# service says that it is missing, and serves.
# shellcheck shell=bash disable=SC2034,SC2154
say "one profile in complain mode:"
apparmor_parser --replace --Complain /etc/apparmor.d/codejail-sandbox
refuses_to_start 'codejail-sandbox (complain)' 'apparmor = "require"'
if /payload/deploy/apparmor.sh status; then fail "status must fail"; fi
start_service 'apparmor = "auto"'
grep -F 'layer="apparmor"' "$log"
stop_service
/payload/deploy/apparmor.sh load

say "a profile that goes into complain mode while the service runs:"
start_service 'apparmor = "require"'
apparmor_parser --replace --Complain /etc/apparmor.d/codejail-sandbox
# This changes nothing for the sandboxes that wait. A new sandbox sees the mode of its profile.
deadline=$((SECONDS + patience_seconds))
until grep -q 'layer apparmor' "$log"; do
    execute 'x = 1' >/dev/null
    [ "$SECONDS" -lt "$deadline" ] || fail "no sandbox saw that its profile is not enforced"
done
grep -F 'layer="apparmor"' "$log" | head -n 1
end_all
/payload/deploy/apparmor.sh load

say "started from a path that the profiles don't name:"
install -d /srv/elsewhere
install -m 755 /payload/bin/codejail /payload/bin/libcodejail_worker.so /srv/elsewhere/
(codejail=/srv/elsewhere/codejail; refuses_to_start 'runs as "unconfined"' 'apparmor = "require"')

say "no profile loaded:"
/payload/deploy/apparmor.sh unload
refuses_to_start 'profiles are not loaded' 'apparmor = "require"'
start_service 'apparmor = "auto"'
grep -F 'layer="apparmor"' "$log"
stop_service
/payload/deploy/apparmor.sh load
