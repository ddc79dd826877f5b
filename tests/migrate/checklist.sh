#!/usr/bin/env bash
# Runs in the root of in-root.sh: types each step of the checklist as docs/migrate.md has it, and
# looks between them which service answers.
set -euo pipefail

page=/test/clone/docs/migrate.md
url=http://127.0.0.1:8080/api/v0/code-exec
answering_seconds_max=60

fail() {
    echo "FAILED: $*"
    exit 1
}

# Whether the original or codejail answers at the address that the LMS has.
assert_answers() { # original|codejail
    local deadline=$((SECONDS + answering_seconds_max)) answer who
    until answer=$(curl -s -i -m 20 "$url" --data-urlencode 'payload={"code": "x = 1 + 1", "globals_dict": {}}'); do
        [ "$SECONDS" -lt "$deadline" ] || fail "nobody answers, $1 should"
        sleep 0.2
    done
    grep -q '"x": *2' <<<"$answer" || fail "an execution was answered $answer"
    who=codejail
    ! grep -qi '^server: gunicorn' <<<"$answer" || who=original
    [ "$who" = "$1" ] || fail "$who answers, $1 should"
    echo "== $1 answers"
}

# The lines between the marks of a step, as an operator pastes them.
follow() {
    local lines
    lines=$(sed -n "/<!-- steps: $1 -->/,/<!-- \/steps -->/{/^        /s/^        //p}" "$page")
    [ -n "$lines" ] || fail "docs/migrate.md has no step $1"
    echo "== $1"
    while IFS= read -r line; do echo "   # $line"; done <<<"$lines"
    (cd /root && bash -euo pipefail -c "$lines") || fail "step $1 ended with status $?"
    echo
}

assert_answers original
follow install
assert_answers original
follow import
config=$(codejail serve --config /etc/codejail/codejail.toml --print-config)
for line in 'CPU = 2 ' 'REALTIME = 2.5 ' 'FSIZE = 1048576 ' 'CPU = 5 ' 'user = "codejail" '; do
    grep -q "^$line" <<<"$config" || fail "no $line in $config"
done
follow try
assert_answers original
follow change
assert_answers codejail
follow ask
[ "$(systemctl is-enabled codejail-service codejail | tr '\n' ' ')" = 'disabled enabled ' ] || fail "the wrong one starts at the next boot"
follow back
assert_answers original
echo "the checklist was followed"
