//! Every key that a configuration can have: its type, its bounds, and when a reload applies it.
//!
//! All sources, reloads, `--print-config` and docs/configuration.md are checked against this one
//! list.

use super::model::WORKERS_MAX;
use super::value_type::{KERNEL_MAX, ValueType};

/// One key. A `*` in its name stands for a name that the operator chooses.
#[derive(Debug)]
pub struct Key {
    /// The name as TOML writes it: tables and key joined by dots.
    pub name: &'static str,
    /// What its value may be.
    pub kind: ValueType,
    /// When a new value counts if it comes while the service runs.
    pub applies: Applies,
}

/// When a key's new value counts after a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applies {
    /// For the next request, connection or check.
    AtOnce,
    /// For each worker that is launched from then on. A reload replaces all workers.
    NewWorkers,
    /// When the service is started again: the port, the uids or the spawner's preparations depend
    /// on it.
    Restart,
}

use Applies::{AtOnce, NewWorkers, Restart};
use ValueType::{Address, Boolean, Endpoint, Integer, Mode, Modules, Name, Paths, Seconds, Text};

const HOUR_MS: u64 = 3_600_000;
const GIB: u64 = 1 << 30;
/// PID_MAX_LIMIT of the kernel's include/linux/threads.h.
const PIDS_MAX: u64 = 1 << 22;
/// CPU seconds: 30 years. The hard limit, one second more, must be a number too.
const CPU_MAX: u64 = 1_000_000_000;
/// Seconds by the wall clock. The LMS gives up 3.5 s after it sent a request, by default.
const REALTIME_MAX: f64 = 3600.0;

const fn key(name: &'static str, kind: ValueType, applies: Applies) -> Key {
    Key {
        name,
        kind,
        applies,
    }
}

/// All keys, in the order in which they are printed. The keys of a table are together.
pub const KEYS: &[Key] = &[
    key("bind", Address, Restart),
    key("enabled", Boolean, AtOnce),
    key("user", Name, Restart),
    key("workers", Integer(1, WORKERS_MAX as u64), AtOnce),
    // A worker has one descriptor for each of its sandboxes: SANDBOXES_MAX of the protocol.
    key("sandboxes_per_worker", Integer(1, 200), Restart),
    key("max_requests", Integer(0, 1_000_000_000), NewWorkers),
    key("max_requests_jitter", Integer(0, 1_000_000_000), NewWorkers),
    key("queue_length_max", Integer(0, 1 << 20), AtOnce),
    key("queue_wait_max_ms", Integer(1, HOUR_MS), AtOnce),
    key("warm_up_timeout_ms", Integer(1000, HOUR_MS), NewWorkers),
    key("graceful_timeout_ms", Integer(0, HOUR_MS), AtOnce),
    key("connections_max", Integer(1, 65536), Restart),
    key("head_timeout_ms", Integer(1, HOUR_MS), AtOnce),
    key("body_timeout_ms", Integer(1, HOUR_MS), AtOnce),
    key("body_bytes_max", Integer(1024, GIB), AtOnce),
    // At least `body_bytes_max` (`Config::check`).
    key("bodies_bytes_max", Integer(1024, 1024 * GIB), AtOnce),
    key("output_bytes_max", Integer(1024, GIB), AtOnce),
    key("reply_bytes_max", Integer(1024, GIB), AtOnce),
    // At least the size of a run's own files.
    key(
        "scratch_bytes_max",
        Integer(1 << 20, KERNEL_MAX),
        NewWorkers,
    ),
    key("scratch_files_max", Integer(16, 1 << 24), NewWorkers),
    // Above 63, the number of the status pipe. At most what a worker may have
    // (`worker/src/layers/rlimits.rs`).
    key("descriptors_max", Integer(64, 1024), NewWorkers),
    key("egress_check", Endpoint, AtOnce),
    key("peers.api", ValueType::Networks, AtOnce),
    key("peers.metrics", ValueType::Networks, AtOnce),
    key("python.bin", ValueType::Path, Restart),
    key("python.preload", Modules, NewWorkers),
    key("python.read_paths", Paths, Restart),
    key("python.sealed_image", Boolean, NewWorkers),
    key("python.huge_pages", Boolean, NewWorkers),
    key("python.hash_seed", ValueType::Seed, Restart),
    key("python.worker_module", ValueType::Path, Restart),
    key("python.env.*", Text, Restart),
    key("limits.CPU", Integer(0, CPU_MAX), AtOnce),
    key("limits.REALTIME", Seconds(REALTIME_MAX), AtOnce),
    key("limits.VMEM", Integer(0, KERNEL_MAX), AtOnce),
    key("limits.FSIZE", Integer(0, KERNEL_MAX), AtOnce),
    key("limits.NPROC", Integer(0, KERNEL_MAX), AtOnce),
    key("limit_overrides.*.CPU", Integer(0, CPU_MAX), AtOnce),
    key("limit_overrides.*.REALTIME", Seconds(REALTIME_MAX), AtOnce),
    key("limit_overrides.*.VMEM", Integer(0, KERNEL_MAX), AtOnce),
    key("limit_overrides.*.FSIZE", Integer(0, KERNEL_MAX), AtOnce),
    key("limit_overrides.*.NPROC", Integer(0, KERNEL_MAX), AtOnce),
    // `Config::check` bounds the last uid, which depends on the number of workers.
    key("sandbox.uid_base", Integer(1000, u32::MAX as u64), Restart),
    key("sandbox.scratch_dir", ValueType::Path, Restart),
    key(
        "cgroup.memory_bytes_max",
        Integer(0, KERNEL_MAX),
        NewWorkers,
    ),
    key("cgroup.pids_max", Integer(0, PIDS_MAX), NewWorkers),
    // Half a GiB: beyond that memory is better spent on workers.
    key("library_cache.bytes_max", Integer(0, GIB / 2), AtOnce),
    key("log.format", ValueType::LogFormat, AtOnce),
    key("log.level", ValueType::LogFilter, AtOnce),
    key("log.payloads", Boolean, AtOnce),
    key("metrics.bind", Address, Restart),
    key("metrics.on_api_address", Boolean, AtOnce),
    key("layers.uid", Mode, Restart),
    key("layers.namespaces", Mode, Restart),
    key("layers.mounts", Mode, Restart),
    key("layers.landlock", Mode, NewWorkers),
    key("layers.seccomp", ValueType::Always, NewWorkers),
    key("layers.rlimits", ValueType::Always, NewWorkers),
    key("layers.cgroup", Mode, Restart),
    key("layers.apparmor", Mode, Restart),
];

/// The key of this path, and its place in the list.
pub fn find(path: &[String]) -> Option<(usize, &'static Key)> {
    let mut keys = KEYS.iter().enumerate();
    keys.find(|(_, key)| key.name.split('.').count() == path.len() && key.begins_with(path))
}

/// Whether there are keys below this path.
pub fn is_table(path: &[String]) -> bool {
    find(path).is_none() && KEYS.iter().any(|key| key.begins_with(path))
}

/// The place of the first key directly in this table.
pub fn first_in(table: &[String]) -> Option<usize> {
    let directly = |key: &Key| key.name.split('.').count() == table.len() + 1;
    KEYS.iter()
        .position(|key| directly(key) && key.begins_with(table))
}

/// The names that may stand in this table, for an error.
pub fn names_in(table: &[String]) -> Vec<&'static str> {
    let below = KEYS.iter().filter(|key| key.begins_with(table));
    let mut names: Vec<&str> = below
        .filter_map(|key| key.name.split('.').nth(table.len()))
        .collect();
    names.dedup();
    names
}

impl std::fmt::Display for Applies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::AtOnce => "at once",
            Self::NewWorkers => "new workers",
            Self::Restart => "restart",
        })
    }
}

impl Key {
    /// Its environment variable; none if its name contains a name that the operator chooses.
    pub fn variable(&self) -> Option<String> {
        let nested = self.name.to_uppercase().replace('.', "__");
        (!self.name.contains('*')).then(|| format!("CODEJAIL_{nested}"))
    }

    fn begins_with(&self, path: &[String]) -> bool {
        let mut segments = self.name.split('.');
        path.iter().all(|name| {
            segments
                .next()
                .is_some_and(|segment| segment == "*" || segment == name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> Vec<String> {
        name.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn keys_are_found_by_their_path() {
        assert_eq!(find(&path("limits.CPU")).unwrap().1.name, "limits.CPU");
        let context = ["limit_overrides", "course.with.dots", "CPU"].map(str::to_owned);
        assert_eq!(find(&context).unwrap().1.name, "limit_overrides.*.CPU");
        assert!(find(&path("limits")).is_none());
        assert!(find(&path("limits.CPU.x")).is_none());
        assert!(is_table(&path("limits")) && is_table(&context[..2]) && is_table(&[]));
        assert!(!is_table(&path("limits.CPU")) && !is_table(&path("limit")));
        assert_eq!(names_in(&path("cgroup")), ["memory_bytes_max", "pids_max"]);
    }

    #[test]
    fn variables_are_named_after_their_keys() {
        let variable = |name| find(&path(name)).unwrap().1.variable();
        assert_eq!(variable("workers").unwrap(), "CODEJAIL_WORKERS");
        assert_eq!(variable("limits.CPU").unwrap(), "CODEJAIL_LIMITS__CPU");
        assert_eq!(variable("python.env.HOME"), None);
    }
}
