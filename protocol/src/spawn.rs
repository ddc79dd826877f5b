//! Supervisor and spawner: the few requests that the privileged process understands.

use crate::ScratchName;
use crate::control::{AppArmorProfiles, LayerMode, LayerState};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The number of a worker. The supervisor counts the numbers up and never reuses one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerId(pub u64);

/// What the supervisor asks of the spawner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpawnerRequest {
    /// The first request, once: sent before the service opens a socket or reads a request.
    Configure(SpawnerConfig),
    /// Start a worker. Two descriptors come along: the worker's end of the control socket, and the
    /// pipe for what the worker prints while it warms up.
    Launch {
        /// Its number.
        worker: WorkerId,
        /// Its directory, in which it starts.
        dir: ScratchName,
        /// Its uid and gid: the first of the uids of one worker in the configured range. None where
        /// the spawner is not root.
        uid: Option<u32>,
        /// The directories of its sandboxes, each a file system of its own below the scratch root.
        /// There are fewer of them than a worker has uids; none without the mounts layer.
        seats: Vec<ScratchName>,
    },
    /// Bounds of the workers that are launched from now on.
    Bound(WorkerBounds),
    /// Kill a worker and so all its sandboxes.
    Kill {
        /// Its number.
        worker: WorkerId,
    },
    /// Empty a seat, or remove a sandbox's scratch directory. A directory that does not exist
    /// counts as removed. When the answer comes, the seat is empty, or the directory is moved away
    /// and its disk space will soon be free.
    Clean {
        /// Its name.
        dir: ScratchName,
    },
    /// Answer and do nothing else: the supervisor wants to know whether the spawner still serves
    /// requests.
    Ping,
}

/// The settings that are the same for each worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpawnerConfig {
    /// The sandbox venv's interpreter.
    pub python_bin: PathBuf,
    /// The worker module, opened once by the spawner.
    pub worker_module: PathBuf,
    /// The whole environment of workers and sandboxes.
    pub env: Vec<(String, String)>,
    /// The seed of Python's hashes of text; without it each worker gets a random seed.
    pub hash_seed: Option<u32>,
    /// Where scratch directories are made.
    pub scratch_root: PathBuf,
    /// A name with this service's tag. At the service's end the spawner removes all directories
    /// with that tag. The directory of this very name is the spawner's own, for what waits to be
    /// removed.
    pub scratch_tag: ScratchName,
    /// First of the uids that workers and sandboxes may get.
    pub uid_base: u32,
    /// How many uids there are; a `Launch` with any other is refused.
    pub uid_count: u32,
    /// How many uids belong together: one worker's, then its sandboxes'. The spawner refuses a
    /// `Launch` with any but the first of them, so that no two workers share a uid.
    pub uids_per_worker: u32,
    /// Whether other services may use the same uids at the same time. True for the commands that
    /// start a worker of their own and end.
    pub shares_uids: bool,
    /// Paths that sandboxes may read beside the interpreter's own directories. They go into each
    /// worker's root. The spawner skips a path that does not exist.
    pub read_paths: Vec<PathBuf>,
    /// Bounds of each worker, until a `Bound` changes them.
    pub bounds: WorkerBounds,
    /// For each layer, whether the operator requires it.
    pub layers: SpawnerLayers,
}

/// What a worker and its sandboxes may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerBounds {
    /// Bytes that all files of one execution may take, where the mounts layer is there.
    pub scratch_bytes_max: u64,
    /// How many files, directories and links one execution may have there.
    pub scratch_files_max: u64,
    /// Bounds of the worker's cgroup, where the host has the controllers.
    pub cgroup: CgroupLimits,
}

/// The layers that the spawner puts in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpawnerLayers {
    /// New PID, mount, network, IPC and UTS namespaces for each worker.
    pub namespaces: LayerMode,
    /// A root of its own for each worker, a file system for each sandbox.
    pub mounts: LayerMode,
    /// A cgroup for each worker.
    pub cgroup: LayerMode,
    /// AppArmor profiles for workers and sandboxes.
    pub apparmor: LayerMode,
}

/// What the spawner found of AppArmor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundAppArmor {
    /// The profiles that workers enter and sandboxes stack; none where the layer is not in use.
    pub profiles: Option<AppArmorProfiles>,
    /// Each profile of the set, with its mode as the kernel names it (`enforce`, `complain`), or
    /// `missing`, or `unknown`.
    pub loaded: Vec<(String, String)>,
    /// What keeps the layer from being enforced, each with its remedy; empty where the layer is
    /// enforced.
    pub flaws: Vec<String>,
}

/// What a worker and all its sandboxes may use together; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupLimits {
    /// Bytes of memory, files in scratch directories included (`memory.max`).
    pub memory_bytes_max: u64,
    /// Processes and threads (`pids.max`).
    pub pids_max: u64,
}

/// What the spawner answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpawnerReport {
    /// Ready for requests.
    Configured {
        /// The state of each of its layers.
        layers: Vec<LayerState>,
        /// Whether sandboxes have seats: `Launch` names them.
        seats: bool,
        /// Whether each worker and each sandbox gets a user namespace of its own. This is so where
        /// the service is not root and the host allows it.
        user_namespaces: bool,
        /// Whether each worker has a cgroup whose bounds the kernel enforces.
        cgroup_bounds: bool,
        /// What the operator should know, though the service can work.
        warnings: Vec<String>,
        /// What the spawner found of AppArmor.
        apparmor: FoundAppArmor,
    },
    /// The configuration can't be used here; the service ends.
    ConfigureFailed {
        /// What and why.
        error: String,
    },
    /// A worker runs.
    Launched {
        /// Its number.
        worker: WorkerId,
        /// Its process as the spawner sees it.
        pid: i32,
    },
    /// A worker could not be started. No `Ended` follows.
    LaunchFailed {
        /// Its number.
        worker: WorkerId,
        /// The step and its error.
        error: String,
    },
    /// A worker is gone and reaped, and its sandboxes with it.
    Ended {
        /// Its number.
        worker: WorkerId,
        /// Exit status, or the negative number of the signal that ended it.
        status: i32,
    },
    /// A scratch directory is gone or its seat is empty; or the spawner failed to do so.
    Cleaned {
        /// Its name.
        dir: ScratchName,
        /// The reason, if the directory or the seat's content is still there.
        error: Option<String>,
        /// Bytes that the files of a seat took before the spawner emptied it; none for a directory,
        /// whose files nobody counts.
        bytes: Option<u64>,
    },
    /// A directory that was moved away is removed, or stays there.
    Removed {
        /// Its name.
        dir: ScratchName,
        /// Why it stays.
        error: Option<String>,
    },
    /// A message for the operator; it answers no request. It may come before `Configured` too.
    Said {
        /// Its level in the service's log.
        level: SaidLevel,
        /// The line's id in the log.
        event: String,
        /// At most [`SAID_BYTES_MAX`] bytes.
        text: String,
    },
    /// The answer to a `Ping`.
    Pong,
}

/// Longest text of a [`SpawnerReport::Said`]: enough for some lines, and far below a frame's bound.
pub const SAID_BYTES_MAX: usize = 1024;

/// How bad the event is that a spawner reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SaidLevel {
    /// The spawner put something right.
    Info,
    /// Something stays behind, but nothing depends on it.
    Warning,
    /// Something failed without a known reason.
    Error,
}
