//! What to give a container for a layer that it lacks: engines have flags of their own for it.

use std::path::Path;

/// Files by which engines mark a container: Docker's and Podman's.
const MARKS: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];
/// What Kubernetes sets in every container; its runtimes leave no mark.
const VARIABLE: &str = "KUBERNETES_SERVICE_HOST";

/// The remedy for a missing layer: on a host `on_a_host`, in a container the flags of Docker and
/// Kubernetes.
pub fn remedy(layer: &str, on_a_host: &'static str) -> &'static str {
    match is_one() {
        true => in_a_container(layer).unwrap_or(on_a_host),
        false => on_a_host,
    }
}

/// Whether this process is in a container, as far as files and variables tell.
pub fn is_one() -> bool {
    MARKS.iter().any(|mark| Path::new(mark).exists()) || std::env::var_os(VARIABLE).is_some()
}

fn in_a_container(layer: &str) -> Option<&'static str> {
    let remedy = match layer {
        "namespaces" => {
            "start the container as root with --cap-add SYS_ADMIN (capabilities.add: SYS_ADMIN), or as another user with \
             --security-opt seccomp=seccomp.json of deploy/docker (seccompProfile: Localhost)"
        }
        "mounts" => {
            "start the container with --security-opt seccomp=seccomp.json of deploy/docker (seccompProfile: \
             Localhost), and as root with --cap-add SYS_ADMIN, or as another user with --security-opt \
             systempaths=unconfined (procMount: Unmasked)"
        }
        "cgroup" => {
            "start the container with --security-opt writable-cgroups=true (Docker 28 on cgroup v2)"
        }
        "apparmor" => {
            "load the profile on the host, and start the container with --security-opt \
             apparmor=openedx_codejail_service (appArmorProfile: Localhost)"
        }
        _ => return None,
    };
    Some(remedy)
}
