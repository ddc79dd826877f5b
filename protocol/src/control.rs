//! Supervisor and worker: requests to prepare and kill sandboxes, reports of what became of them.

use crate::ScratchName;
use crate::job::Usage;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Most sandboxes of one worker: with a descriptor for each it stays below the usual 1024.
pub const SANDBOXES_MAX: u32 = 900;

/// One sandbox of a worker; the supervisor counts them up and never reuses one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SandboxId(pub u64);

/// What the supervisor asks of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerRequest {
    /// The first request: confine yourself, warm up, say `Hello`.
    Start(WorkerConfig),
    /// Fork one sandbox. Four descriptors come along: its standard input (the job pipe's read
    /// end), standard output, standard error and status pipe, in this order.
    Prepare {
        /// Its number.
        sandbox: SandboxId,
        /// Its directory, to be made below the scratch root.
        dir: ScratchName,
        /// Its own uid and gid, or none where sandboxes share the worker's.
        uid: Option<u32>,
    },
    /// End a sandbox now. A sandbox that has ended already is no fault: its end and the request may
    /// cross.
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
    /// What sandboxes may read beside the interpreter's own directories, which the worker knows.
    /// One that does not exist is passed over.
    pub read_paths: Vec<PathBuf>,
    /// Most sandboxes at a time, at most [`SANDBOXES_MAX`]. Where they share the worker's uid, they
    /// share its NPROC too.
    pub sandboxes_max: u32,
    /// Descriptors that a sandbox may have (RLIMIT_NOFILE).
    pub descriptors_max: u64,
    /// Whether sandboxes get uids of their own: those that follow the worker's, as many as there
    /// may be sandboxes. The spawner has chosen the worker's uid, and the worker's seccomp filter
    /// refuses every uid beyond those.
    pub own_uids: bool,
    /// Whether sandboxes find their directories made, each on a file system of its own.
    pub seats: bool,
    /// Whether the warm image is to be moved into a sealed file.
    pub sealed_image: bool,
    /// Whether, where it is not, it is to be moved into huge pages.
    pub huge_pages: bool,
    /// How much each layer is wanted.
    pub layers: WorkerLayers,
    /// The AppArmor profiles of this worker and its sandboxes, where that layer is in use.
    pub apparmor: Option<AppArmorProfiles>,
}

/// The AppArmor profiles of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppArmorProfiles {
    /// What the worker has entered when it starts.
    pub worker: String,
    /// What each of its sandboxes stacks over it.
    pub sandbox: String,
    /// Whether anything less than enforcing is a failure.
    pub enforced: bool,
}

/// The layers that a worker puts in place, for itself and its sandboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerLayers {
    /// What may be opened.
    pub landlock: LayerMode,
    /// Which system calls may be made.
    pub seccomp: LayerMode,
    /// How much may be used.
    pub rlimits: LayerMode,
}

/// How much an operator wants a layer.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerMode {
    /// Without it, refuse to start.
    Require,
    /// Use it where the host can give it, and say so where it cannot.
    #[default]
    Auto,
    /// Leave it out.
    Off,
}

/// What became of a layer on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerState {
    /// Its name, as the configuration's key.
    pub layer: String,
    /// Whether it is in place.
    pub on: bool,
    /// What was got; or why nothing, and the remedy.
    pub detail: String,
}

impl LayerState {
    /// One that is in place.
    #[must_use]
    pub fn on(layer: &str, detail: impl Into<String>) -> Self {
        Self {
            layer: layer.to_owned(),
            on: true,
            detail: detail.into(),
        }
    }

    /// One that is not.
    #[must_use]
    pub fn off(layer: &str, detail: impl Into<String>) -> Self {
        Self {
            layer: layer.to_owned(),
            on: false,
            detail: detail.into(),
        }
    }

    /// One that the operator has left out.
    #[must_use]
    pub fn left_out(layer: &str) -> Self {
        Self::off(layer, format!("layers.{layer} = \"off\""))
    }
}

/// What a worker tells the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerReport {
    /// Confined and warm: `Prepare` may follow.
    Hello(Hello),
    /// It cannot confine itself or warm up; it ends.
    StartFailed {
        /// The step and its error.
        error: String,
    },
    /// A `Prepare` that came to nothing. No `Exited` follows.
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
    /// Top-level names of what is installed in the sandbox venv, at most 500.
    pub libraries: Vec<String>,
    /// Where it imports from: the absolute paths of `sys.path`, at most 32.
    pub import_paths: Vec<PathBuf>,
    /// What became of each of its layers.
    pub layers: Vec<LayerState>,
    /// Bytes of address space that the warm image maps: RLIMIT_AS counts them in each sandbox.
    pub image_bytes: u64,
    /// How many of them are memory of the worker's own, and where that lies.
    pub memory: ImageMemory,
}

/// The warm image's memory that is a worker's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageMemory {
    /// Its size in bytes.
    pub own_bytes: u64,
    /// How many of them lie in a sealed file, of which a fork copies nothing.
    pub sealed_bytes: u64,
    /// Why not all that could be do, where that was wanted.
    pub not_sealed: Option<String>,
    /// How many bytes are in huge pages, of which a fork copies little.
    pub huge_bytes: u64,
}

/// A sandbox's end as the kernel told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exited {
    /// Its number.
    pub sandbox: SandboxId,
    /// Exit status, or the negative number of the signal that ended it.
    pub status: i32,
    /// What it used, from its fork on.
    pub used: Usage,
}
