//! All settings, as types.

use super::network::Network;
use codejail_protocol::control::LayerMode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Most workers.
pub const WORKERS_MAX: usize = 256;

/// All settings, with their names in the file.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on; port 0 picks a free one.
    pub bind: SocketAddr,
    /// Whether executions are accepted. Until an operator turns this on, they are answered with
    /// 500.
    pub enabled: bool,
    /// The user that the HTTP side becomes when started as root: a name or a number.
    pub user: String,
    /// How many warm interpreters there are.
    pub workers: usize,
    /// Executions at a time in each of them.
    pub sandboxes_per_worker: usize,
    /// Executions after which a worker is replaced; 0 means never.
    pub max_requests: u64,
    /// Up to this many are added at random, so that workers are not replaced all at once.
    pub max_requests_jitter: u64,
    /// Requests that may wait for a sandbox. Any further request is answered with 503.
    pub queue_length_max: usize,
    /// How long a request may wait, in milliseconds. The client gives up 3.5 s after it has sent a
    /// request.
    pub queue_wait_max_ms: u64,
    /// How long a worker may take to import what is preloaded and to pass its checks, in
    /// milliseconds.
    pub warm_up_timeout_ms: u64,
    /// How long running executions have to finish when the service is told to end.
    pub graceful_timeout_ms: u64,
    /// Connections at a time.
    pub connections_max: usize,
    /// How long the head of a request may take. Also how long a kept connection may wait for its
    /// next request.
    pub head_timeout_ms: u64,
    /// How long the body of a request may take. Also how long a client may wait before it takes
    /// more of its answer.
    pub body_timeout_ms: u64,
    /// Largest request body.
    pub body_bytes_max: usize,
    /// Bytes that all bodies and answers may take together. The first 256 KiB of each do not count.
    pub bodies_bytes_max: usize,
    /// Bytes of standard output, and of standard error, that an error message can hold.
    pub output_bytes_max: usize,
    /// Largest answer on standard output.
    pub reply_bytes_max: usize,
    /// Bytes that all files of one execution may take.
    pub scratch_bytes_max: u64,
    /// How many files, directories and links one execution may have.
    pub scratch_files_max: u64,
    /// Descriptors that one execution may have.
    pub descriptors_max: u64,
    /// `host:port` that the service must not be able to connect to. Without a value there is no
    /// check.
    pub egress_check: Option<String>,
    /// Which clients may ask.
    pub peers: Peers,
    /// The interpreter.
    pub python: Python,
    /// Limits of every execution.
    pub limits: CodeJailLimits,
    /// Limits by `limit_overrides_context`.
    pub limit_overrides: BTreeMap<String, LimitOverrides>,
    /// Where, and as which users, sandboxes run.
    pub sandbox: Sandbox,
    /// Bounds of each worker's cgroup.
    pub cgroup: Cgroup,
    /// Bytecode of course libraries.
    pub library_cache: LibraryCache,
    /// What confines sandboxes.
    pub layers: Layers,
    /// The log.
    pub log: Log,
    /// Where metrics are.
    pub metrics: Metrics,
    /// Whether this is the configuration of `check` or `run`. It is not a key.
    #[serde(skip)]
    pub is_tool: bool,
}

/// `[peers]`: networks whose clients may ask. An empty list allows all.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Peers {
    /// For executions.
    pub api: Vec<Network>,
    /// For what only operators need: metrics, and pages for people.
    pub metrics: Vec<Network>,
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
    /// Further paths that sandboxes may read.
    pub read_paths: Vec<PathBuf>,
    /// Whether a worker moves its warm image into a sealed file before it forks.
    pub sealed_image: bool,
    /// Whether a worker moves the image into huge pages, if it does not move it into a sealed file.
    pub huge_pages: bool,
    /// The seed of Python's hashes of text.
    pub hash_seed: HashSeed,
    /// The worker module. Without a value, the one beside the executable.
    pub worker_module: Option<PathBuf>,
}

/// `python.hash_seed`: a number, or `random`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum HashSeed {
    /// The same for all workers of a deployment.
    Fixed(u32),
    /// A new one for each worker.
    Random(Random),
}

/// The word `random`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Random {
    /// The word.
    Random,
}

impl HashSeed {
    /// The number, if there is one.
    #[must_use]
    pub fn fixed(self) -> Option<u32> {
        match self {
            Self::Fixed(number) => Some(number),
            Self::Random(Random::Random) => None,
        }
    }
}

/// `[limits]`, named as in `CODE_JAIL`. 0 means no limit, except for FSIZE: FSIZE 0 allows no
/// bytes.
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

/// `[limit_overrides."…"]`: each given value replaces the limit of that name.
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
    /// The directory below which scratch directories are made.
    pub scratch_dir: PathBuf,
}

/// `[cgroup]`: what a worker and its sandboxes may use together; 0 means no limit.
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
    /// Bytes of memory that the bytecode of all libraries may take; 0 means that none is kept.
    pub bytes_max: usize,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// How lines are written.
    pub format: LogFormat,
    /// Which events are logged, unless `RUST_LOG` says it: levels, or `MODULE=LEVEL`, joined by
    /// commas.
    pub level: String,
    /// Whether code, globals and results are logged too.
    pub payloads: bool,
}

/// `log.format`
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people: a sentence, then fields.
    #[default]
    Text,
    /// For programs: one object a line.
    Json,
}

/// `[metrics]`
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// An address of their own for metrics and health. Without a value there is none.
    pub bind: Option<SocketAddr>,
    /// Whether `/metrics` is on the API's address too.
    pub on_api_address: bool,
}

/// `[layers]`: require, auto or off. seccomp and resource limits can't be off: every host has them.
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
