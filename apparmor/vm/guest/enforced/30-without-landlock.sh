# If Landlock and the namespaces are off, AppArmor alone protects files. If AppArmor is off, too,
# the startup check of the service must fail.
# shellcheck shell=bash disable=SC2034,SC2154
start_service 'apparmor = "require"' 'landlock = "off"' 'mounts = "off"' 'namespaces = "off"'
no_harm --limit SPACE=0 --limit INODES=0 --group files --group processes --group network
stop_service

start_service 'apparmor = "require"' 'landlock = "off"' 'mounts = "off"'

# A sandbox can't go back: neither to the worker's profile, nor to no profile.
for order in 'changeprofile codejail-worker' 'changeprofile unconfined' 'exec codejail-worker'; do
    file=current
    [ "${order%% *}" = changeprofile ] || file="exec"
    answer=$(execute "open('/proc/self/attr/apparmor/$file', 'w').write('$order')")
    say "$order: $answer"
    grep -q 'PermissionError' <<<"$answer" || fail "a sandbox must not $order"
done
# Landlock can't forbid this: a run makes a file, and maps it to execute it.
answer=$(execute "
import mmap
f = open('tmp/x', 'w+b')
f.truncate(4096)
mmap.mmap(f.fileno(), 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)")
say "executable mapping of a file in tmp: $answer"
grep -q 'PermissionError' <<<"$answer" || fail "files in tmp must not be mapped to be executed"
stop_service

# The same service, without AppArmor: no profile is attached to the path of this program.
install -d /srv/elsewhere
install -m 755 /payload/bin/codejail /payload/bin/libcodejail_worker.so /srv/elsewhere/
codejail=/srv/elsewhere/codejail
if start_service 'apparmor = "off"' 'landlock = "off"' 'mounts = "off"' 'namespaces = "off"'; then
    end_all
    fail "with neither the root directory can be listed, and the service must see that"
fi
grep 'event="startup_check_failed"' "$log" | grep -q 'check="disk"' || fail "the check of the disk must have failed"
