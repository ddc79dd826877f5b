# Sourced by root.sh: an upgrade that clients don't notice, with two services that share a socket.
# shellcheck shell=bash source=deploy/debian/test/root.sh disable=SC2154

property() { systemctl show --property "$2" --value "$1"; }

upgrade_under_requests() {
    systemctl enable --quiet --now codejail.socket codejail@a
    until_200 /readyz
    rm -f /tmp/stop-clients
    python3 /test/busy_clients.py "$url" /tmp/stop-clients >/tmp/clients 2>&1 &
    local clients=$!
    apt-get -qq install --yes --no-install-recommends /test/next/codejail_*.deb
    [ "$(property codejail@b ActiveState)" = active ] || fail "the upgrade must start codejail@b"
    [ "$(property codejail@a ActiveState) $(property codejail@a Result)" = "inactive success" ] ||
        fail "the upgrade must end codejail@a: $(systemctl status codejail@a)"
    [ "$(readlink "/proc/$(property codejail@b MainPID)/exe")" = /usr/lib/codejail/codejail ] ||
        fail "codejail@b must be the new program"
    answers
    touch /tmp/stop-clients
    wait "$clients" || {
        cat /tmp/clients
        fail "a client noticed the upgrade"
    }
    cat /tmp/clients
    # An upgrade whose new program does not come up: the old program goes on serving, and apt still
    # installs the package.
    sed -i 's/^workers = .*/workers = "many"/' "$config"
    apt-get -qq install --yes --no-install-recommends --reinstall /test/next/codejail_*.deb 2>&1 | tee /tmp/upgrade-said
    grep -q 'codejail: .*codejail-switch' /tmp/upgrade-said || fail "it must say that the new program does not serve"
    [ "$(property codejail@b ActiveState)" = active ] || fail "the old one must serve on"
    answers
    sed -i 's/^workers = .*/workers = 2/' "$config"
    codejail-switch
    [ "$(property codejail@a ActiveState)" = active ] || fail "codejail@a must run again"
    answers
}
