# AppArmor alone, every other layer off: files, programs, network and signals are its
# to hold. It takes a build that can switch the others off, which no build for use can
# (cargo feature `sabotage`); another says here that this was not tried.
# shellcheck shell=bash disable=SC2154
others_off=('mounts = "off"' 'cgroup = "off"' 'namespaces = "off"' 'landlock = "off"' 'seccomp = "off"' 'rlimits = "off"')
write_config 'apparmor = "require"' "${others_off[@]}"
if ! "$codejail" serve --config /etc/codejail.toml --check-config >"$logs/alone" 2>&1; then
    say "NOT TRIED: this build can't switch the other layers off: $(head -n 1 "$logs/alone")"
    return 0
fi

start_service 'apparmor = "require"' "${others_off[@]}"
processes
for probe in deny_listing_the_root_directory deny_reading_the_user_database deny_reading_processes \
    deny_listing_other_runs_directories deny_changing_the_runner deny_files_beside_tmp deny_exec \
    deny_internet_sockets deny_signals_to_the_parent; do
    /payload/bin/codejail-api-tests --base-url "$url" "$probe"
done
stop_service
