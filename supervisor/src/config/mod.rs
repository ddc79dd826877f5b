//! The service's configuration: read, checked and completed before anything else happens.
//!
//! Where it comes from is `config/load.rs`; what a key may hold, `config/keys.rs`; docs/configuration.md
//! says what it means. What is wrong is named with its key, its value, its source and what would be
//! right.

pub mod current;
pub mod keys;
pub mod load;
mod original_yaml;
pub mod print;
pub mod settings;
mod yaml;

use codejail_protocol::control::LayerMode;
use codejail_protocol::job::Limits;
use serde::{Deserialize, Serialize};
use settings::Settings;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Shared libraries, time zones, and the devices that programs expect.
const READ_PATHS: &[&str] = &[
    "/usr/lib",
    "/lib",
    "/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/usr/share/zoneinfo",
    "/etc/localtime",
    "/dev/null",
    "/dev/urandom",
    "/dev/zero",
];

/// Most workers.
pub const WORKERS_MAX: usize = 256;

/// No locale, as behind the original's sudo: Python then takes C.UTF-8, and UTF-8 for all text.
const SANDBOX_ENV: &[(&str, &str)] = &[
    ("HOME", "/nonexistent"),
    ("LOGNAME", "sandbox"),
    ("MKL_NUM_THREADS", "1"),
    ("NUMEXPR_NUM_THREADS", "1"),
    ("OMP_NUM_THREADS", "1"),
    ("OPENBLAS_NUM_THREADS", "1"),
    (
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ),
    ("SHELL", "/usr/sbin/nologin"),
    ("TMPDIR", "tmp"),
    ("USER", "sandbox"),
];

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, #[source] std::io::Error),
    /// It is not TOML.
    #[error("{0}: {1}")]
    Toml(PathBuf, #[source] Box<toml::de::Error>),
    /// It is not YAML, or none that makes settings.
    #[error("{0}: {1}")]
    Yaml(PathBuf, #[source] Box<yaml::YamlError>),
    /// A key that does not exist, or a value that can't be.
    #[error("{said}: {right}")]
    Value {
        /// Key, value and source as the source writes them.
        said: String,
        /// What would be right.
        right: String,
    },
    /// Keys and configuration don't agree: a mistake in this program.
    #[error("{0}")]
    Inconsistent(#[source] toml::de::Error),
}

/// All settings, by the file's names.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on; port 0 picks a free one.
    pub bind: SocketAddr,
    /// Whether executions are accepted; until an operator turns it on, they are answered 500.
    pub enabled: bool,
    /// Whom the HTTP side becomes when started as root: a user's name, or a number.
    pub user: String,
    /// Warm interpreters.
    pub workers: usize,
    /// Executions at a time in each.
    pub sandboxes_per_worker: usize,
    /// Executions after which a worker is replaced; 0 is never.
    pub max_requests: u64,
    /// Up to this many are added at random, so that workers are not replaced all at once.
    pub max_requests_jitter: u64,
    /// Requests that may wait for a sandbox; one more is answered 503.
    pub queue_length_max: usize,
    /// How long one may wait, in milliseconds. The client gives up 3.5 s after it sent.
    pub queue_wait_max_ms: u64,
    /// How long running executions have to finish when the service is told to end.
    pub graceful_timeout_ms: u64,
    /// Connections at a time.
    pub connections_max: usize,
    /// How long the head of a request may take, and the next one on a connection that is kept.
    pub head_timeout_ms: u64,
    /// How long the body of a request may take, and how long a client may take nothing of its answer.
    pub body_timeout_ms: u64,
    /// Largest request body.
    pub body_bytes_max: usize,
    /// Of standard output and standard error each, what an error message can hold.
    pub output_bytes_max: usize,
    /// Largest answer on standard output.
    pub reply_bytes_max: usize,
    /// Bytes that all files of one execution may take.
    pub scratch_bytes_max: u64,
    /// How many files, directories and links that may be.
    pub scratch_files_max: u64,
    /// `host:port` that the service must not be able to connect to; none is no check.
    pub egress_check: Option<String>,
    /// The interpreter.
    pub python: Python,
    /// Limits of every execution.
    pub limits: CodeJailLimits,
    /// Limits by `limit_overrides_context`.
    pub limit_overrides: BTreeMap<String, LimitOverrides>,
    /// Where and as whom sandboxes run.
    pub sandbox: Sandbox,
    /// Bounds of each worker's cgroup.
    pub cgroup: Cgroup,
    /// Bytecode of course libraries.
    pub library_cache: LibraryCache,
    /// What confines them.
    pub layers: Layers,
}

/// `[python]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Python {
    /// The sandbox venv's interpreter.
    pub bin: PathBuf,
    /// Modules to import before sandboxes are forked.
    pub preload: Vec<String>,
    /// Variables for sandboxes, beside the service's own small set.
    pub env: BTreeMap<String, String>,
    /// More that sandboxes may read.
    pub read_paths: Vec<PathBuf>,
    /// Whether a worker moves its warm image into huge pages before it forks.
    pub huge_pages: bool,
    /// The worker module; beside the executable unless given.
    pub worker_module: Option<PathBuf>,
}

/// `[limits]`, named as in `CODE_JAIL`; 0 is no limit, except that FSIZE 0 is nothing.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[allow(non_snake_case)]
pub struct CodeJailLimits {
    /// CPU seconds.
    pub CPU: u64,
    /// Seconds by the wall clock.
    pub REALTIME: f64,
    /// Bytes of address space.
    pub VMEM: u64,
    /// Longest file in bytes.
    pub FSIZE: u64,
    /// Threads.
    pub NPROC: u64,
}

/// `[limit_overrides."…"]`: what is given replaces the limit of that name.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[allow(non_snake_case)]
pub struct LimitOverrides {
    /// CPU seconds.
    pub CPU: Option<u64>,
    /// Seconds by the wall clock.
    pub REALTIME: Option<f64>,
    /// Bytes of address space.
    pub VMEM: Option<u64>,
    /// Longest file in bytes.
    pub FSIZE: Option<u64>,
    /// Threads.
    pub NPROC: Option<u64>,
}

/// `[sandbox]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sandbox {
    /// First of the uids that workers and sandboxes get when the service is started as root.
    pub uid_base: u32,
    /// Where scratch directories are made.
    pub scratch_dir: PathBuf,
}

/// `[cgroup]`: what a worker and its sandboxes may use together; 0 is no limit.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cgroup {
    /// Bytes of memory, files of executions included.
    pub memory_bytes_max: u64,
    /// Processes and threads.
    pub pids_max: u64,
}

/// `[library_cache]`
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LibraryCache {
    /// Bytes of memory that the bytecode of all libraries may take; 0 is that none is kept.
    pub bytes_max: usize,
}

/// `[layers]`: require, auto or off. Seccomp and resource limits can't be off: they are always there to
/// be had.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Layers {
    /// A uid for each worker and sandbox; needs root.
    pub uid: LayerMode,
    /// PID, mount, network, IPC and UTS namespaces for each worker.
    pub namespaces: LayerMode,
    /// A minimal root for each worker, a bounded file system for each sandbox.
    pub mounts: LayerMode,
    /// Landlock, Linux 5.13 and later.
    pub landlock: LayerMode,
    /// The list of allowed system calls.
    pub seccomp: LayerMode,
    /// Resource limits.
    pub rlimits: LayerMode,
    /// A cgroup for each worker, where cgroup v2 is delegated.
    pub cgroup: LayerMode,
    /// AppArmor profiles for every process; needs root, and the profiles loaded.
    pub apparmor: LayerMode,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 8080)),
            enabled: false,
            user: "app".to_owned(),
            workers: 2,
            sandboxes_per_worker: 1,
            max_requests: 1000,
            max_requests_jitter: 100,
            queue_length_max: 256,
            queue_wait_max_ms: 1000,
            graceful_timeout_ms: 30_000,
            connections_max: 512,
            head_timeout_ms: 10_000,
            body_timeout_ms: 30_000,
            body_bytes_max: 32 << 20,
            output_bytes_max: 1 << 20,
            reply_bytes_max: 32 << 20,
            scratch_bytes_max: 256 << 20,
            scratch_files_max: 16_384,
            egress_check: None,
            python: Python::default(),
            limits: CodeJailLimits::default(),
            limit_overrides: BTreeMap::new(),
            sandbox: Sandbox::default(),
            cgroup: Cgroup::default(),
            library_cache: LibraryCache::default(),
            layers: Layers::default(),
        }
    }
}

impl Default for Python {
    fn default() -> Self {
        Self {
            bin: PathBuf::from("/sandbox/venv/bin/python"),
            preload: Vec::new(),
            env: BTreeMap::new(),
            read_paths: Vec::new(),
            huge_pages: true,
            worker_module: None,
        }
    }
}

impl Default for CodeJailLimits {
    fn default() -> Self {
        Self {
            CPU: 1,
            REALTIME: 1.0,
            VMEM: 0,
            FSIZE: 0,
            NPROC: 15,
        }
    }
}

impl Default for Cgroup {
    fn default() -> Self {
        Self {
            memory_bytes_max: 0,
            // Far over what a full worker's sandboxes may have by NPROC, far below what a host has.
            pids_max: 4096,
        }
    }
}

impl Default for LibraryCache {
    fn default() -> Self {
        Self {
            // A zip file of 130 kB can have 0.8 MB of bytecode: that of some 80 of the largest courses.
            bytes_max: 64 << 20,
        }
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            uid_base: 349_590_000,
            scratch_dir: PathBuf::from("/tmp"),
        }
    }
}

impl Config {
    /// Checks what depends on more than one key.
    fn check(&self, settings: &Settings) -> Result<(), ConfigError> {
        let last = u64::from(u32::MAX - 1) - self.uid_count() - Self::tool_uid_count();
        let first = self.sandbox.uid_base;
        if u64::from(first) > last {
            let path = ["sandbox", "uid_base"].map(str::to_owned);
            let right = format!("must be at most {last}, or the uids of all workers don't fit");
            let origin = settings.origin(&path);
            return Err(origin.refuse(&path, &toml::Value::Integer(first.into()), &right));
        }
        Ok(())
    }

    /// The configuration of `check` and `run`: one sandbox at a time, under uids of its own, so that
    /// a service with the same configuration can run at the same time.
    #[must_use]
    pub fn for_tool(mut self) -> Self {
        // Checked to fit.
        self.sandbox.uid_base += u32::try_from(self.uid_count()).unwrap_or(0);
        self.workers = 1;
        self.sandboxes_per_worker = 1;
        self.max_requests = 0;
        // There is no second execution.
        self.library_cache.bytes_max = 0;
        // Nobody else asks, and whoever does has patience.
        self.queue_wait_max_ms = 60_000;
        self
    }

    fn tool_uid_count() -> u64 {
        let one = Self {
            workers: 1,
            sandboxes_per_worker: 1,
            ..Self::default()
        };
        one.uid_count()
    }

    /// Sandboxes that a worker keeps ready while nothing runs: a spare beside each that may run.
    #[must_use]
    pub fn sandboxes_ready(&self) -> usize {
        2 * self.sandboxes_per_worker
    }

    /// Sandboxes of one worker that may exist at once: running, a spare beside each, and twice as
    /// many on their way out, with some room where there are few.
    #[must_use]
    pub fn sandboxes_max(&self) -> usize {
        4 * self.sandboxes_per_worker + 4
    }

    /// The uids of one worker: its own, then its sandboxes'.
    #[must_use]
    pub fn uids_per_worker(&self) -> u64 {
        1 + self.sandboxes_max() as u64
    }

    /// All uids: each worker may have a successor warming up and a predecessor draining.
    #[must_use]
    pub fn uid_count(&self) -> u64 {
        self.uids_per_worker() * self.worker_slots() as u64
    }

    /// Workers that may exist at once.
    #[must_use]
    pub fn worker_slots(&self) -> usize {
        3 * self.workers_max()
    }

    /// How many workers the service may be told to keep while it runs; their uids are set aside when
    /// it starts.
    #[must_use]
    pub fn workers_max(&self) -> usize {
        (2 * self.workers).min(WORKERS_MAX)
    }

    /// This configuration, but with what can't be changed while a service runs as in `started`; and
    /// the keys that were therefore kept. Ports, users, uids, layers, and what the spawner was told are
    /// fixed when a service starts.
    #[must_use]
    pub fn keeping_what_is_fixed(mut self, started: &Self) -> (Self, Vec<&'static str>) {
        let mut kept = Vec::new();
        macro_rules! keep {
            ($($($name:ident).+),* $(,)?) => {$(
                if self.$($name).+ != started.$($name).+ {
                    kept.push(stringify!($($name).+));
                    self.$($name).+ = started.$($name).+.clone();
                }
            )*};
        }
        keep!(
            bind,
            user,
            sandboxes_per_worker,
            connections_max,
            python.bin,
            python.read_paths,
            python.worker_module,
            python.env,
            sandbox.uid_base,
            sandbox.scratch_dir,
            layers.uid,
            layers.namespaces,
            layers.landlock,
        );
        if self.workers > started.workers_max() {
            kept.push("workers");
            self.workers = started.workers_max();
        }
        (self, kept)
    }

    /// What sandboxes may read beside the interpreter's own directories.
    #[must_use]
    pub fn read_paths(&self) -> Vec<PathBuf> {
        let fixed = READ_PATHS.iter().map(PathBuf::from);
        fixed
            .chain(self.python.read_paths.iter().cloned())
            .collect()
    }

    /// The whole environment of workers and sandboxes: what the original's sudo leaves of one, and
    /// what keeps numeric libraries from starting threads, before which a worker could not fork.
    #[must_use]
    pub fn sandbox_env(&self) -> Vec<(String, String)> {
        let mut env: BTreeMap<String, String> = SANDBOX_ENV
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        env.extend(self.python.env.clone());
        env.into_iter().collect()
    }

    /// The limits of one execution; an unknown context means the defaults.
    #[must_use]
    pub fn limits(&self, context: Option<&str>) -> Limits {
        let limits = self.code_jail_limits(context);
        Limits {
            cpu_s: limits.CPU,
            // Checked to be at most an hour.
            realtime_ms: (limits.REALTIME * 1000.0).ceil() as u64,
            vmem_bytes: limits.VMEM,
            fsize_bytes: limits.FSIZE,
            nproc: limits.NPROC,
        }
    }

    fn code_jail_limits(&self, context: Option<&str>) -> CodeJailLimits {
        let overrides = context.and_then(|context| self.limit_overrides.get(context));
        let overrides = overrides.copied().unwrap_or_default();
        CodeJailLimits {
            CPU: overrides.CPU.unwrap_or(self.limits.CPU),
            REALTIME: overrides.REALTIME.unwrap_or(self.limits.REALTIME),
            VMEM: overrides.VMEM.unwrap_or(self.limits.VMEM),
            FSIZE: overrides.FSIZE.unwrap_or(self.limits.FSIZE),
            NPROC: overrides.NPROC.unwrap_or(self.limits.NPROC),
        }
    }
}
#[cfg(test)]
mod tests;
