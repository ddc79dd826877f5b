# One rule of a profile is removed or added, and the checks must fail. This shows that they notice a
# wrong rule.
# shellcheck shell=bash disable=SC2034,SC2154
rules=/etc/apparmor.d/codejail.d
# Programs that must work with files and the like. To try each library would take too long here.
works=(allow_)

#   red WHAT FILE PATTERN TEXT
# Removes the lines with PATTERN from FILE. The checks must then fail with TEXT: a failure for
# another reason shows nothing.
red() {
    local what=$1 file=$2 pattern=$3 text=$4
    cp "$rules/$file" /tmp/rules
    grep -vF -- "$pattern" /tmp/rules >"$rules/$file" || true
    ! cmp -s /tmp/rules "$rules/$file" || fail "no rule has $pattern"
    apparmor_parser --replace /etc/apparmor.d/codejail-{supervisor,spawner,worker,sandbox}
    # The file is restored at once. So the next script loads the right rules, even if this one
    # fails.
    cp /tmp/rules "$rules/$file"
    noticed "$what" "$text" legitimate 'apparmor = "require"'
}

#   noticed WHAT TEXT COMMAND...
noticed() {
    local what=$1 text=$2
    shift 2
    mark
    if ("$@") >"$logs/mutation" 2>&1; then
        fail "nobody noticed: $what"
    fi
    end_all
    # The denials tell which rule is missing, even if another check failed first.
    denials >>"$logs/mutation"
    if ! grep -m 1 -F -- "$text" "$logs/mutation"; then
        cat "$logs/mutation"
        fail "noticed, and not by \"$text\": $what"
    fi
    say "red, as it must be: $what"
}

red "a sandbox may not write to its tmp" sandbox-files 'tmp/**' \
    'probe allow_files_up_to_the_limit ... FAILED'
red "a worker may not stack the sandbox's profile" worker 'change_profile -> &codejail-sandbox' \
    "layer apparmor: stack the sandbox's profile"
red "a sandbox may not be killed by its worker" sandbox 'set=(kill, exists) peer=codejail-worker,' \
    'operation="signal"'

# Now with an additional rule that takes away AppArmor's protection.
mkdir -p /etc/apparmor.d/local
echo '/{,**} r,' >/etc/apparmor.d/local/codejail-sandbox
echo '/{,**} r,' >/etc/apparmor.d/local/codejail-worker
apparmor_parser --replace /etc/apparmor.d/codejail-{worker,sandbox}
readings() {
    start_service 'apparmor = "require"' 'landlock = "off"' 'mounts = "off"' || return 1
    probes --limit SPACE=0 --limit INODES=0 --group files deny_reading
}
noticed "a sandbox may read everything" 'probe deny_reading_a_file_open_to_all ... FAILED' readings
rm /etc/apparmor.d/local/codejail-{worker,sandbox}
/payload/deploy/apparmor.sh load
