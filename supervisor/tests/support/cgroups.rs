//! Cgroups of version 2, where the host has them.

use std::fs;
use std::path::{Path, PathBuf};

/// The directory of the cgroup in which a process is.
pub fn of(pid: i32) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    let mount = mount.split(' ').nth(4).expect("a mount point");
    let own = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("its cgroups");
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new(mount).join(own))
}

/// Removes what a service made around its worker's cgroup, if it made one: it is empty, and whoever would remove it was
/// killed.
pub fn remove_what_is_left_of(worker: Option<PathBuf>) {
    let its_own = |worker: &PathBuf| {
        worker
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("worker-"))
    };
    let Some(worker) = worker.filter(its_own) else {
        return;
    };
    let service = worker.parent().expect("the service's");
    let below = fs::read_dir(service).expect("cgroup").flatten();
    for entry in below.filter(|entry| entry.path().is_dir()) {
        fs::remove_dir(entry.path()).expect("rmdir");
    }
    fs::remove_dir(service).expect("rmdir");
}
