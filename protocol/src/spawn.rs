//! Supervisor and spawner: the few requests that the privileged process understands.

use crate::ScratchName;
use crate::control::{AppArmorProfiles, LayerMode, LayerState};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One worker of the service's life; counted up, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerId(pub u64);

/// What the supervisor asks of the spawner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpawnerRequest {
    /// The first request, once: sent before the service opens a socket or reads a request.
    Configure(SpawnerConfig),
    /// Start a worker. Two descriptors come along: its end of the control socket, and the pipe for
    /// what it prints while it warms up.
    Launch {
        /// Its number.
        worker: WorkerId,
        /// Its directory, from which it starts.
        dir: ScratchName,
        /// Its uid and gid, the first of a worker's from the configured range; none where the
        /// spawner is not root.
        uid: Option<u32>,
        /// The directories of its sandboxes, each with a file system of its own below the scratch
        /// root, fewer than a worker has uids; empty without the mounts layer.
        seats: Vec<ScratchName>,
    },
    /// Bounds of the workers that are launched from now on.
    Bound(WorkerBounds),
    /// Kill a worker and so all its sandboxes.
    Kill {
        /// Its number.
        worker: WorkerId,
    },
    /// Empty a seat, or remove a sandbox's scratch directory; one that does not exist is removed
    /// already. When the answer comes the seat is empty, or the directory out of the way and its
    /// disk space free soon.
    Clean {
        /// Its name.
        dir: ScratchName,
    },
    /// Answer, and do nothing else: the supervisor wants to know whether the spawner can.
    Ping,
}

/// All that the spawner does the same way for each worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpawnerConfig {
    /// The sandbox venv's interpreter.
    pub python_bin: PathBuf,
    /// The worker module, opened once by the spawner.
    pub worker_module: PathBuf,
    /// The whole environment of workers and sandboxes.
    pub env: Vec<(String, String)>,
    /// What Python's hashes of text start from; none is a new number for each worker.
    pub hash_seed: Option<u32>,
    /// Where scratch directories are made.
    pub scratch_root: PathBuf,
    /// A name with this service's tag: at its end the spawner removes all directories that carry
    /// it. The one of this very name it makes itself, for what waits to be removed.
    pub scratch_tag: ScratchName,
    /// First of the uids that workers and sandboxes may get.
    pub uid_base: u32,
    /// How many uids there are; a `Launch` with any other is refused.
    pub uid_count: u32,
    /// How many of them belong together: a worker's, then its sandboxes'. A `Launch` with another
    /// than the first is refused, so that no two workers share one.
    pub uids_per_worker: u32,
    /// Whether other services may use the same uids at the same time: true for the commands that start a
    /// worker of their own and end.
    pub shares_uids: bool,
    /// What sandboxes may read beside the interpreter's own directories: it goes into each worker's
    /// root. One that does not exist is passed over.
    pub read_paths: Vec<PathBuf>,
    /// Bounds of each worker, until others are ordered.
    pub bounds: WorkerBounds,
    /// How much each layer is wanted.
    pub layers: SpawnerLayers,
}

/// What a worker and its sandboxes may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerBounds {
    /// Bytes that all files of one execution may take, where the mounts layer is there.
    pub scratch_bytes_max: u64,
    /// How many files, directories and links that may be.
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
    /// What workers enter and their sandboxes stack; none where the layer is not in use.
    pub profiles: Option<AppArmorProfiles>,
    /// Each profile of the set, with its mode as the kernel names it (`enforce`, `complain`), or
    /// `missing`, or `unknown`.
    pub loaded: Vec<(String, String)>,
    /// What keeps the layer from being enforced, with its remedy: nothing where it is.
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
        /// What became of each of its layers.
        layers: Vec<LayerState>,
        /// Whether sandboxes have seats: `Launch` names them.
        seats: bool,
        /// Whether processes of this service's one user get user namespaces below its own, each worker and
        /// each sandbox one: where the service is not root and the host allows it.
        user_namespaces: bool,
        /// Whether each worker has a cgroup whose bounds the kernel enforces.
        cgroup_bounds: bool,
        /// What the operator should know, and what stops no service.
        warnings: Vec<String>,
        /// What there is of AppArmor.
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
    /// A scratch directory is gone or its seat empty, or that could not be done.
    Cleaned {
        /// Its name.
        dir: ScratchName,
        /// What stands in the way, if it is still there.
        error: Option<String>,
        /// Bytes that the files of a seat took before it was emptied; none of a directory, whose
        /// files nobody counts.
        bytes: Option<u64>,
    },
    /// A directory that was out of the way is removed, or stays where it was put.
    Removed {
        /// Its name.
        dir: ScratchName,
        /// Why it stays.
        error: Option<String>,
    },
    /// Something that the operator should know, and that answers no request. It may come before
    /// `Configured` too.
    Said {
        /// How the service's log has it.
        level: SaidLevel,
        /// The line's id in the log.
        event: String,
        /// At most [`SAID_BYTES_MAX`] bytes.
        text: String,
    },
    /// The answer to a `Ping`.
    Pong,
}

/// Longest text of a [`SpawnerReport::Said`]: some lines, and far from a frame's bound.
pub const SAID_BYTES_MAX: usize = 1024;

/// How bad it is what a spawner says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SaidLevel {
    /// It was put right.
    Info,
    /// Something stays that nothing depends on.
    Warning,
    /// Something has failed that has no reason to.
    Error,
}
