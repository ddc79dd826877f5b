# With hardened.conf every layer is still on, and all that must work still works.
# shellcheck shell=bash source=apparmor/vm/guest/systemd.sh disable=SC2154
source ./systemd.sh
install_package
cp /payload/deploy/systemd/hardened.conf /etc/systemd/system/codejail.service.d/
systemctl daemon-reload
mark
start_unit codejail
all_layers_are_on
[ "$(awk '/^CapBnd/ { print $2 }' "/proc/$(property codejail MainPID)/status")" = 00000000002001eb ] ||
    fail "the unit must have bounded the capabilities"
probes --group network
probes --group works allow_
with_library || fail "a library must work"
systemctl stop codejail
is_gone codejail
no_denials "a hardened service"
rm /etc/systemd/system/codejail.service.d/hardened.conf
