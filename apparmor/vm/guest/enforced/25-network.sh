# The supervisor's network rules, tried with another program. It may listen. It also tries to
# connect, which the supervisor never does: the rules of AppArmor 4 deny it. AppArmor 3 has no rule
# for that.
# shellcheck shell=bash
{
    grep -h '^abi' /etc/apparmor.d/codejail-supervisor
    echo 'profile network-rules {'
    echo '  file,'
    grep -h '^  network' /etc/apparmor.d/codejail-supervisor
    echo '}'
} >/etc/apparmor.d/network-rules
cat /etc/apparmor.d/network-rules
apparmor_parser --replace /etc/apparmor.d/network-rules
rm /etc/apparmor.d/network-rules

said=$(aa-exec -p network-rules -- python3 -c '
import socket
listening = socket.create_server(("127.0.0.1", 0))
print("listens")
try:
    socket.create_connection(listening.getsockname(), timeout=60)
    print("connects")
except PermissionError:
    print("may not connect")
try:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    print("has datagrams")
except PermissionError:
    print("has no datagrams")
')
say "$said"
wanted='may not connect'
grep -q 'abi/4' /etc/apparmor.d/codejail-supervisor || wanted='connects'
[ "$said" = "listens
$wanted
has no datagrams" ] || fail "it must listen, and $wanted"
