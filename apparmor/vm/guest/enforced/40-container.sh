# Under a container's profile and no_new_privs, as a container runtime starts the service: the
# supervisor has the deployed name, and workers and sandboxes are stacked over it.
# shellcheck shell=bash disable=SC2034,SC2154
/payload/deploy/apparmor.sh load container
preload=$every_library
mark
start_service 'apparmor = "require"' -- \
    aa-exec -p openedx_codejail_service -- setpriv --no-new-privs
processes
outer=openedx_codejail_service
[ "$(under "$outer (enforce)")" -eq 2 ] || fail "supervisor and spawner must be under the container's profile"
[ "$(under "$outer//&$outer//codejail_worker (enforce)")" -eq 1 ] || fail "the worker must be under its own, too"
[ "$(processes | grep -c 'codejail_sandbox.* (enforce) ')" -ge 1 ] || fail "sandboxes must be under all three"
probes --group works
no_denials "an execution"
probes --group files
stop_service
/payload/deploy/apparmor.sh unload container
