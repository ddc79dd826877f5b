//! Hosts that give less: root has no right to mount, or a user gets no user namespaces. The service
//! runs there with the other layers, says which layer is missing and why, and refuses to start if
//! that layer is required.

use codejail_harness::dir::TestDir;
use codejail_harness::uids::UidRange;
use codejail_harness::{Service, Setup, inject, needs_root, skip};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The layers that are on, as `/health/` says.
fn layers_on(service: &Service) -> Vec<String> {
    let layers = service.layers();
    for layer in &layers {
        assert!(
            layer["detail"]
                .as_str()
                .is_some_and(|detail| !detail.is_empty())
        );
    }
    let on = layers
        .into_iter()
        .filter(|layer| layer["on"] == json!(true));
    on.filter_map(|layer| layer["layer"].as_str().map(str::to_owned))
        .collect()
}

fn has(layers: &[String], layer: &str) -> bool {
    layers.iter().any(|on| on == layer)
}

/// The log names a remedy: the first one on a host, the second one in a container.
fn assert_off_because(service: &Service, on_a_host: &str, in_a_container: &str) {
    let is_container = Path::new("/.dockerenv").exists()
        || Path::new("/run/.containerenv").exists()
        || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let why = if is_container {
        in_a_container
    } else {
        on_a_host
    };
    let off = service.events("layer_disabled");
    assert!(off.iter().any(|line| line.contains(why)), "{why}: {off:?}");
}

/// The service executes, and denies what the original denies. At the service's end the harness
/// checks that nothing is left.
fn assert_serves(service: &Service) {
    service.wait_until_healthy();
    for n in 0..20 {
        assert_eq!(service.value_of_x(&format!("x = {n}")), json!(n));
    }
    let outcome = "import os\ntry: x = os.listdir('/')\nexcept PermissionError: x = 'denied'";
    assert_eq!(service.value_of_x(outcome), Value::from("denied"));
    assert!(
        service
            .execute("import os; os.fork()")
            .emsg()
            .contains("BlockingIOError")
    );
}

#[test]
fn root_without_the_right_to_mount_has_the_other_layers() {
    needs_root!();
    let starter = ["setpriv", "--bounding-set", "-sys_admin"];
    let service = Service::launch(&Setup {
        starter: &starter,
        ..Setup::default()
    });
    assert_serves(&service);
    let on = layers_on(&service);
    assert!(
        has(&on, "uid") && has(&on, "seccomp") && has(&on, "rlimits"),
        "{on:?}"
    );
    assert!(!has(&on, "namespaces") && !has(&on, "mounts"), "{on:?}");
    assert_off_because(&service, "CAP_SYS_ADMIN", "--cap-add SYS_ADMIN");
}

/// A root directory that is not the namespace's own. The kernel gives no user namespace to a
/// process that has such a root (`current_chrooted`, kernel/user_namespace.c).
struct OtherRoot(PathBuf);

impl OtherRoot {
    fn make() -> Self {
        let dir = PathBuf::from(format!("/tmp/cj-root-{}", std::process::id()));
        fs::create_dir(&dir).expect("mkdir");
        Self(dir)
    }
}

impl Drop for OtherRoot {
    fn drop(&mut self) {
        // The mounts below it were in a namespace that is gone.
        fs::remove_dir(&self.0).expect("rmdir");
    }
}

#[test]
fn a_user_without_user_namespaces_has_the_other_layers() {
    needs_root!();
    let (root, user) = (OtherRoot::make(), UidRange::take());
    let enter = format!(
        "mount --rbind / '{0}' && exec chroot --userspec={1}:{1} '{0}' \"$0\" \"$@\"",
        root.0.display(),
        user.user(),
    );
    let starter = ["unshare", "--mount", "sh", "-c", &enter];
    let starter: &[&str] = &starter;
    fn setup<'a>(overrides: &'a str, starter: &'a [&'a str]) -> Setup<'a> {
        Setup {
            overrides,
            starter,
            staged: true,
            ..Setup::default()
        }
    }
    let service = Service::launch(&setup("", starter));
    assert_serves(&service);
    let on = layers_on(&service);
    assert!(has(&on, "seccomp") && has(&on, "rlimits"), "{on:?}");
    assert!(
        !has(&on, "uid") && !has(&on, "namespaces") && !has(&on, "mounts"),
        "{on:?}"
    );
    assert_off_because(
        &service,
        "user.max_user_namespaces",
        "--security-opt seccomp=seccomp.json",
    );
    drop(service);
    let required = ["namespaces", "mounts", "uid"].map(|layer| {
        let overrides = format!("[layers]\n{layer} = 'require'");
        (layer, overrides)
    });
    for (layer, overrides) in &required {
        let (status, said) = Service::fail_to_start_as(&setup(overrides, starter));
        assert_eq!(status, Some(78), "{said}");
        assert!(
            said.contains(&format!("layers.{layer} is required")),
            "{said}"
        );
    }
}

/// With user namespaces a user who is not root gets every layer except uid.
#[test]
fn a_user_with_user_namespaces_has_a_root_of_its_own_and_namespaces() {
    needs_root!();
    if !user_namespaces() {
        skip!("needs user namespaces");
    }
    let service = Service::launch(&Setup {
        overrides: "[layers]\nnamespaces = 'require'\nmounts = 'require'",
        unprivileged: true,
        ..Setup::default()
    });
    assert_serves(&service);
    let on = layers_on(&service);
    assert!(has(&on, "namespaces") && has(&on, "mounts"), "{on:?}");
    // Below the scratch root the host sees only the directory for files that wait to be removed.
    let own: Vec<_> = fs::read_dir(service.scratch_root())
        .expect("the scratch root")
        .collect();
    assert_eq!(own.len(), 1, "{own:?}");
}

/// A library for `LD_PRELOAD` that acts as Ubuntu's kernel does from 23.10 on: a process may enter
/// a user namespace, and then may not map its user.
const NO_MAP: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/types.h>
static int refused(const char *path) {
    return path && strstr(path, "/uid_map") && (errno = EACCES);
}
#define OPEN(NAME)                                          \
    int NAME(const char *path, int flags, ...) {            \
        va_list more;                                       \
        va_start(more, flags);                              \
        mode_t mode = va_arg(more, int);                    \
        va_end(more);                                       \
        int (*next)(const char *, int, ...) = dlsym(RTLD_NEXT, #NAME); \
        return refused(path) ? -1 : next(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)
"#;

#[test]
fn a_user_whose_namespace_maps_nobody_has_the_other_layers() {
    needs_root!();
    if !user_namespaces() {
        skip!("needs user namespaces");
    }
    let dir = TestDir::new("no-map");
    let library = inject::build_library(&dir, NO_MAP);
    let env = [("LD_PRELOAD", library.to_str().expect("a path"))];
    let setup = |overrides| Setup {
        overrides,
        env: &env,
        unprivileged: true,
        ..Setup::default()
    };
    let service = Service::launch(&setup(""));
    assert_serves(&service);
    let on = layers_on(&service);
    assert!(has(&on, "seccomp") && has(&on, "rlimits"), "{on:?}");
    assert!(!has(&on, "namespaces") && !has(&on, "mounts"), "{on:?}");
    assert_off_because(
        &service,
        "kernel.apparmor_restrict_unprivileged_userns",
        "--security-opt seccomp=seccomp.json",
    );
    drop(service);
    let required = setup("[layers]\nnamespaces = 'require'");
    let (status, said) = Service::fail_to_start_as(&required);
    assert_eq!(status, Some(78), "{said}");
    assert!(said.contains("layers.namespaces is required"), "{said}");
}

fn user_namespaces() -> bool {
    let tried = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args(["unshare", "--user", "true"])
        .status();
    tried.expect("setpriv").success()
}
