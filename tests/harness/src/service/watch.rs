//! What a service has on the host: its processes, and the directories of its sandboxes.

use super::Service;
use crate::processes::{self, Process};
use crate::wait::{END_MAX, START_MAX, wait_for};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

impl Service {
    /// The spawner. Panics if the supervisor has no child, or several.
    #[must_use]
    pub fn spawner(&self) -> Process {
        let mut children = processes::children(self.pid());
        assert_eq!(children.len(), 1, "{children:?}");
        children.remove(0)
    }

    /// The workers.
    #[must_use]
    pub fn workers(&self) -> Vec<Process> {
        processes::children(self.spawner().pid)
    }

    /// Supervisor, spawner, workers and sandboxes.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        processes::family(self.pid())
    }

    /// All its processes, when there are so many: some sandboxes may still be ending.
    pub fn wait_for_processes(&self, count: usize) -> Vec<Process> {
        wait_for("the usual number of processes", END_MAX, || {
            Some(self.processes()).filter(|family| family.len() == count)
        })
    }

    /// The workers, when there are so many and all serve.
    pub fn wait_for_workers(&self, count: usize) -> Vec<Process> {
        wait_for("the workers", START_MAX, || {
            let serving = self.get("/health/").json()["workers"].as_u64()?;
            let workers = self.workers();
            (serving == count as u64 && workers.len() == count).then_some(workers)
        })
    }

    /// The pids of supervisor, spawner and workers, which stay.
    #[must_use]
    pub fn lasting_pids(&self) -> Vec<i32> {
        let workers = self.workers().into_iter().map(|worker| worker.pid);
        [self.pid(), self.spawner().pid]
            .into_iter()
            .chain(workers)
            .collect()
    }

    /// Directories that are not empty: on the host, and on the file systems that only a worker
    /// sees.
    #[must_use]
    pub fn scratch_directories(&self) -> Vec<PathBuf> {
        let mut found = self.scratch_entries();
        for worker in processes::children(self.pid())
            .iter()
            .flat_map(|spawner| processes::children(spawner.pid))
        {
            found.extend(seats(worker.pid, &self.scratch_root()));
        }
        found
    }

    /// A directory as the sandboxes of its worker see it.
    #[must_use]
    pub fn seen_inside(&self, directory: &Path) -> PathBuf {
        self.scratch_root()
            .join(directory.file_name().expect("a name"))
    }

    /// Waits until a run has made `name` in its `tmp`. Returns the run's directory.
    pub fn wait_for_mark(&self, name: &str) -> PathBuf {
        let marked = |dir: &PathBuf| dir.join("tmp").join(name).exists();
        wait_for("a mark of the run", START_MAX, || {
            self.scratch_directories().into_iter().find(marked)
        })
    }

    /// The state of each layer, as `/health/` tells it.
    #[must_use]
    pub fn layers(&self) -> Vec<Value> {
        let health = self.get("/health/").json();
        health["layers"].as_array().expect("layers").clone()
    }

    /// Why a startup check failed, as `/health/` tells it; `None` if it passed or has not run.
    #[must_use]
    pub fn check_failure(&self, id: &str) -> Option<String> {
        let health = self.get("/health/").json();
        let checks = health["checks"].as_array()?;
        let check = checks.iter().find(|check| check["id"] == id)?;
        check["failure"].as_str().map(str::to_owned)
    }

    /// The answer of `/health/`, when all startup checks have run.
    #[must_use]
    pub fn wait_for_checks(&self) -> Value {
        wait_for("the startup checks", START_MAX, || {
            let health = self.get("/health/").json();
            health["checks"].is_array().then_some(health)
        })
    }
}

/// The seats of a worker that has a root of its own, seen through the kernel's link to that root. A
/// worker that ends meanwhile has none.
fn seats(worker: i32, scratch_root: &Path) -> Vec<PathBuf> {
    let root = PathBuf::from(format!("/proc/{worker}/root"));
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    let own = device(&root);
    if own.is_none() || own == device(Path::new("/")) {
        return Vec::new();
    }
    let inside = scratch_root.strip_prefix("/").expect("an absolute path");
    let entries = fs::read_dir(root.join(inside)).into_iter().flatten();
    let mut seats: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    seats.retain(|seat| seat.join("jailed_code").exists());
    seats
}
