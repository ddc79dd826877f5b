# If Landlock and the namespaces are off, AppArmor alone protects files. If AppArmor is off, too,
# the startup check of the service must fail.
# shellcheck shell=bash disable=SC2034,SC2154
start_service 'apparmor = "require"' 'landlock = "off"' 'mounts = "off"' 'namespaces = "off"'
no_harm --limit SPACE=0 --limit INODES=0 --group files --group processes --group network
stop_service

start_service 'apparmor = "require"' 'landlock = "off"' 'mounts = "off"'

# A sandbox can't change back to the worker's profile, and it can't leave all profiles.
for order in 'changeprofile codejail-worker' 'changeprofile unconfined' 'exec codejail-worker'; do
    file=current
    [ "${order%% *}" = changeprofile ] || file="exec"
    answer=$(execute "open('/proc/self/attr/apparmor/$file', 'w').write('$order')")
    say "$order: $answer"
    grep -q 'PermissionError' <<<"$answer" || fail "a sandbox must not $order"
done
# A run must not map a file that it has made as executable. Landlock can't forbid that.
answer=$(execute "
import mmap
f = open('tmp/x', 'w+b')
f.truncate(4096)
mmap.mmap(f.fileno(), 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)")
say "executable mapping of a file in tmp: $answer"
grep -q 'PermissionError' <<<"$answer" || fail "files in tmp must not be mapped to be executed"
stop_service

# The same without AppArmor: no profile is attached to this path.
install -d /srv/elsewhere
install -m 755 /payload/bin/codejail /payload/bin/libcodejail_worker.so /srv/elsewhere/
codejail=/srv/elsewhere/codejail
if start_service 'apparmor = "off"' 'landlock = "off"' 'mounts = "off"' 'namespaces = "off"'; then
    end_all
    fail "with neither the root directory can be listed, and the service must see that"
fi
grep 'event="startup_check_failed"' "$log" | grep -q 'check="disk"' || fail "the check of the disk must have failed"
