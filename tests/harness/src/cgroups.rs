//! Cgroups of version 2, where the host has them.

use std::fs;
use std::path::{Path, PathBuf};

/// The directory of the cgroup in which a process is; none on a host without cgroups of version 2.
#[must_use]
pub fn of(pid: i32) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    let mount = mount.split(' ').nth(4).expect("a mount point");
    let own = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("its cgroups");
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new(mount).join(own))
}

/// Removes the cgroup that a service made for its workers, and the empty cgroups below it. `worker`
/// is the cgroup of one of its workers. For a service whose spawner was killed: otherwise the
/// spawner removes them.
pub fn remove_what_is_left_of(worker: Option<PathBuf>) {
    let is_a_workers = |cgroup: &PathBuf| {
        let name = cgroup.file_name();
        name.is_some_and(|name| name.to_string_lossy().starts_with("worker-"))
    };
    let Some(worker) = worker.filter(is_a_workers) else {
        return;
    };
    let service = worker.parent().expect("the service's");
    let below = fs::read_dir(service).expect("cgroup").flatten();
    for entry in below.filter(|entry| entry.path().is_dir()) {
        fs::remove_dir(entry.path()).expect("rmdir");
    }
    fs::remove_dir(service).expect("rmdir");
}

/// Cgroups below this process's cgroup whose names start with `start`.
#[must_use]
pub fn named(start: &str) -> Vec<PathBuf> {
    let own = of(std::process::id().cast_signed());
    let entries = own.and_then(|own| fs::read_dir(own).ok());
    let entries = entries.into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(start));
    named.map(|entry| entry.path()).collect()
}
