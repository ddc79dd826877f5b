# A restart that no client notices: codejail@a and codejail@b share a socket, and four busy clients
# send requests all the time. A service that does not come up does not replace the service that
# runs.
# shellcheck shell=bash source=apparmor/vm/guest/systemd.sh disable=SC2154
source ./systemd.sh
install_package
start_unit codejail.socket
codejail-switch
[ "$(property codejail@a ActiveState)" = active ] || fail "codejail@a must run"
all_layers_are_on

stop=/tmp/clients-stop
rm -f "$stop"
client() {
    local number=0 answer
    while [ ! -e "$stop" ]; do
        number=$((number + 1))
        answer=$(curl -s -m 120 -w ' %{http_code} %{time_total}' "$url/api/v0/code-exec" --data-urlencode \
            "payload={\"code\": \"x = $number\", \"globals_dict\": {}}") || true
        echo "$answer"
        [[ $answer == "{\"globals_dict\":{\"x\":$number}} 200 "* ]] || echo "WRONG: $number $answer"
    done
}
clients=()
for name in 1 2 3 4; do
    client >"$logs/client-$name" &
    clients+=($!)
done
codejail-switch
[ "$(property codejail@b ActiveState)" = active ] || fail "codejail@b must run"
is_gone_of() { [ "$(property "$1" ActiveState)" = inactive ] && [ "$(property "$1" Result)" = success ]; }
is_gone_of codejail@a || fail "codejail@a must have ended well"
codejail-switch
[ "$(property codejail@a ActiveState)" = active ] || fail "codejail@a must run again"
is_gone_of codejail@b || fail "codejail@b must have ended well"

sed -i 's/^workers = .*/workers = "many"/' /etc/codejail/codejail.toml
! codejail-switch || fail "one that does not come up takes nobody's place"
[ "$(property codejail@a ActiveState)" = active ] || fail "the old one must serve on"

touch "$stop"
wait "${clients[@]}"
! grep -h WRONG "$logs"/client-* || fail "a client noticed"
say "$(cat "$logs"/client-* | wc -l) requests, the slowest in $(awk '{ print $3 }' "$logs"/client-* | sort -n | tail -n 1) s"
[ "$(cat "$logs"/client-* | wc -l)" -gt 40 ] || fail "the clients must have been busy"
systemctl stop codejail@a codejail.socket
is_gone codejail@a
