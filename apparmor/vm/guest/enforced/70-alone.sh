# AppArmor alone: every other layer is off, except users, which a service that is root can't leave
# out. Only the build for tests can switch the other layers off (cargo feature `sabotage`). AppArmor
# must stop every attack that it can stop by path and kind of access. The other attacks are listed.
# shellcheck shell=bash disable=SC2154
install -m 755 /payload/sabotage/codejail /payload/sabotage/libcodejail_worker.so /usr/local/lib/codejail/
start_service 'apparmor = "require"' 'mounts = "off"' 'cgroup = "off"' 'namespaces = "off"' \
    'landlock = "off"' 'seccomp = "off"' 'rlimits = "off"'
processes
run_probes --group files --group processes --group network --limit SPACE=0 --limit INODES=0
broken=$(failed_probes | awk '$3 != "succeeded"')
[ -z "$broken" ] || fail "probes that show nothing: $broken"
say "held by AppArmor, users and what a sandbox is:"
sed -n 's/^probe \(.*\) \.\.\. ok$/\1/p' "$results" | sort
for probe in deny_listing_the_root_directory deny_listing_etc deny_listing_processes \
    deny_reading_the_user_database deny_reading_a_file_open_to_all deny_reading_through_a_symbolic_link \
    deny_changing_a_file_open_to_all deny_changing_the_runner deny_replacing_the_runner \
    deny_files_beside_tmp deny_directories_beside_tmp deny_files_in_the_hosts_tmp deny_files_in_shared_memory \
    deny_exec_of_a_shell deny_exec_of_python deny_signals_to_the_parent \
    deny_tcp_sockets deny_udp_sockets deny_tcp_connections deny_raw_sockets deny_netlink_sockets; do
    grep -qx "probe $probe ... ok" "$results" || fail "AppArmor must hold $probe"
done
stop_service
install -m 755 /payload/bin/codejail /payload/bin/libcodejail_worker.so /usr/local/lib/codejail/
