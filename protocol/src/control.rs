//! Supervisor and worker: requests to prepare and kill sandboxes, and reports of the results.

use crate::ScratchName;
use crate::job::Usage;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Most sandboxes of one worker. A worker has a descriptor for each sandbox, and 900 of them stay
/// below the usual limit of 1024.
pub const SANDBOXES_MAX: u32 = 900;

/// The number of a worker's sandbox. The supervisor counts the numbers up and never reuses one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SandboxId(pub u64);

/// What the supervisor asks of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerRequest {
    /// The first request: the worker shall confine itself, warm up and say `Hello`.
    Start(WorkerConfig),
    /// Fork one sandbox. Four descriptors come along: its standard input (the job pipe's read
    /// end), standard output, standard error and status pipe, in this order.
    Prepare {
        /// Its number.
        sandbox: SandboxId,
        /// Its directory below the scratch root. The sandbox makes it, unless it is a seat.
        dir: ScratchName,
        /// The sandbox's own uid and gid; none where sandboxes share the worker's.
        uid: Option<u32>,
    },
    /// End a sandbox now. The sandbox may have ended already, since its end and the request can
    /// cross; that is no error.
    Kill {
        /// Its number.
        sandbox: SandboxId,
    },
}

/// All that a worker needs to know before it warms up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerConfig {
    /// Modules to import, in order.
    pub preload: Vec<String>,
    /// The directory below which scratch directories are made.
    pub scratch_root: PathBuf,
    /// Paths that sandboxes may read beside the interpreter's own directories, which the worker
    /// knows. The worker skips a path that does not exist.
    pub read_paths: Vec<PathBuf>,
    /// Most sandboxes at a time, at most [`SANDBOXES_MAX`]. Sandboxes that share the worker's uid
    /// and user namespace share its NPROC too.
    pub sandboxes_max: u32,
    /// Descriptors that a sandbox may have (RLIMIT_NOFILE).
    pub descriptors_max: u64,
    /// Whether sandboxes get uids of their own: the `sandboxes_max` uids that follow the worker's.
    /// The spawner has chosen the worker's uid, and the worker's seccomp filter refuses every other
    /// uid.
    pub own_uids: bool,
    /// Whether each sandbox that shares the worker's uid enters a user namespace of its own. The
    /// kernel then counts the processes and pending signals of each sandbox apart.
    pub user_namespaces: bool,
    /// Whether the spawner has made the sandboxes' directories, each on a file system of its own.
    pub seats: bool,
    /// Whether the warm image is to be moved into a sealed file.
    pub sealed_image: bool,
    /// Whether an image that is not sealed is to be moved into huge pages.
    pub huge_pages: bool,
    /// For each layer, whether the operator requires it.
    pub layers: WorkerLayers,
    /// The AppArmor profiles of this worker and its sandboxes, where that layer is in use.
    pub apparmor: Option<AppArmorProfiles>,
}

/// The AppArmor profiles of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppArmorProfiles {
    /// The profile that the worker is in when it starts.
    pub worker: String,
    /// The profile that each sandbox stacks over the worker's.
    pub sandbox: String,
    /// Whether a profile that is not enforced is a failure.
    pub enforced: bool,
}

/// The layers that a worker puts in place, for itself and its sandboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerLayers {
    /// Which files a sandbox may open.
    pub landlock: LayerMode,
    /// Which system calls a sandbox may make.
    pub seccomp: LayerMode,
    /// How much of each resource a sandbox may use.
    pub rlimits: LayerMode,
}

/// Whether the operator requires a layer.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerMode {
    /// Refuse to start without the layer.
    Require,
    /// Use the layer where the host can give it; report where the host cannot.
    #[default]
    Auto,
    /// Leave the layer out.
    Off,
}

/// The state of a layer on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerState {
    /// Its name, as the configuration's key.
    pub layer: String,
    /// Whether the layer is in place.
    pub on: bool,
    /// What the host gave; or why it gave nothing, with the remedy.
    pub detail: String,
}

impl LayerState {
    /// A layer that is in place.
    #[must_use]
    pub fn on(layer: &str, detail: impl Into<String>) -> Self {
        Self {
            layer: layer.to_owned(),
            on: true,
            detail: detail.into(),
        }
    }

    /// A layer that is not in place.
    #[must_use]
    pub fn off(layer: &str, detail: impl Into<String>) -> Self {
        Self {
            layer: layer.to_owned(),
            on: false,
            detail: detail.into(),
        }
    }

    /// A layer that the operator has left out.
    #[must_use]
    pub fn left_out(layer: &str) -> Self {
        Self::off(layer, format!("layers.{layer} = \"off\""))
    }
}

/// What a worker tells the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerReport {
    /// The worker is confined and warm: `Prepare` may follow.
    Hello(Hello),
    /// The worker cannot confine itself or warm up, and ends.
    StartFailed {
        /// The step and its error.
        error: String,
    },
    /// A `Prepare` failed. No `Exited` follows.
    PrepareFailed {
        /// Its number.
        sandbox: SandboxId,
        /// What failed, with the system's error.
        error: String,
    },
    /// A sandbox is gone and reaped.
    Exited(Exited),
}

/// What a warm worker says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`crate::BUILD`] of the worker module.
    pub build: String,
    /// `sys.version` up to its first space.
    pub python: String,
    /// Modules that could not be preloaded, with the error.
    pub preload_failed: Vec<(String, String)>,
    /// Top-level module names of what is installed in the sandbox venv, at most 500.
    pub libraries: Vec<String>,
    /// The absolute paths of `sys.path`, at most 32.
    pub import_paths: Vec<PathBuf>,
    /// The state of each of its layers.
    pub layers: Vec<LayerState>,
    /// Bytes of address space that the warm image maps: RLIMIT_AS counts them in each sandbox.
    pub image_bytes: u64,
    /// The memory of the image that is the worker's own, and where it lies.
    pub memory: ImageMemory,
}

/// The warm image's memory that is a worker's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageMemory {
    /// Its size in bytes.
    pub own_bytes: u64,
    /// How many of them lie in a sealed file, of which a fork copies nothing.
    pub sealed_bytes: u64,
    /// Why the image could not be sealed, if the configuration asks for that.
    pub not_sealed: Option<String>,
    /// How many bytes are in huge pages, of which a fork copies little.
    pub huge_bytes: u64,
}

/// A sandbox's end as the kernel reported it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exited {
    /// Its number.
    pub sandbox: SandboxId,
    /// Exit status, or the negative number of the signal that ended it.
    pub status: i32,
    /// What the sandbox used, from its fork on.
    pub used: Usage,
}
