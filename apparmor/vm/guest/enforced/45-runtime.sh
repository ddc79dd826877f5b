# A real container runtime applies the container's profile. The container gets what
# docs/containers.md gives it in the mode with every layer. A process that may load profiles and do
# nothing else loads the profile, like the loader in compose.
# shellcheck shell=bash disable=SC2034,SC2154
setpriv --bounding-set=-all,+mac_admin --inh-caps=-all --no-new-privs /payload/deploy/apparmor.sh load container
preload=$every_library
# The limit of an execution: on a busy host, matplotlib's import alone takes 10 s in a guest.
limit_seconds=30
mark
start_service 'uid = "require"' 'namespaces = "require"' 'mounts = "require"' 'landlock = "require"' \
    'apparmor = "require"' -- python3 /payload/in_container.py
processes
outer=openedx_codejail_service
[ "$(under "$outer (enforce)")" -eq 2 ] || fail "supervisor and spawner must be under the container's profile"
[ "$(under "$outer//&$outer//codejail_worker (enforce)")" -eq 1 ] || fail "the worker must be under its own, too"
[ "$(processes | grep -c 'codejail_sandbox.* (enforce) ')" -ge 1 ] || fail "sandboxes must be under all three"
probes --group works
with_library || fail "a course's library must be found"
no_denials "an execution"
probes --group files --group network
stop_service
/payload/deploy/apparmor.sh unload container
