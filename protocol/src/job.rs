//! Supervisor and sandbox: one job in, a few reports out.
//!
//! The header is a frame; code, globals and library follow it as bare bytes, so that the payload of
//! a request goes from socket to sandbox without a copy in between.

use serde::{Deserialize, Serialize};

/// Largest sum of a job's blobs. A sandbox allocates what the header announces only up to this
/// bound. It backs up the service's own `body_bytes_max` (default 32 MiB).
pub const BLOBS_BYTES_MAX: u64 = 1 << 30;

/// Announces a job. The blobs follow in the order of the `_bytes` fields, then end of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobHeader {
    /// Length of the JSON text of the code, a string.
    pub code_bytes: u64,
    /// Length of the JSON text of the input globals, an object.
    pub globals_bytes: u64,
    /// Length of `python_lib.zip`; none if the request has none.
    pub python_lib_bytes: Option<u64>,
    /// Length of the library's bytecode; none if the service has none.
    pub bytecode_bytes: Option<u64>,
    /// Whether `python_lib.zip` goes on `sys.path`.
    pub python_path: bool,
    /// What the execution may use.
    pub limits: Limits,
}

impl JobHeader {
    /// The sum of the lengths of all blobs; none if it exceeds [`BLOBS_BYTES_MAX`].
    #[must_use]
    pub fn blobs_bytes(&self) -> Option<u64> {
        self.code_bytes
            .checked_add(self.globals_bytes)?
            .checked_add(self.python_lib_bytes.unwrap_or(0))?
            .checked_add(self.bytecode_bytes.unwrap_or(0))
            .filter(|sum| *sum <= BLOBS_BYTES_MAX)
    }
}

/// Limits of one execution: those of `CODE_JAIL`, in base units. 0 means none, except for
/// `fsize_bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// CPU seconds; the hard limit is one second more.
    pub cpu_s: u64,
    /// Milliseconds by the wall clock.
    pub realtime_ms: u64,
    /// Bytes of address space over what the warm image maps.
    pub vmem_bytes: u64,
    /// Bytes of the longest file that can be written; 0 means that none can be written.
    pub fsize_bytes: u64,
    /// Threads and processes, the sandbox's first process included.
    pub nproc: u64,
}

/// The resources that a process has used, as getrusage(2) counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// User and system time, in microseconds.
    pub cpu_us: u64,
    /// Its largest resident set, in KiB (`ru_maxrss`). Pages that it shares with its worker count.
    pub resident_kib_max: u64,
}

/// Most cold imports that a run reports. With names of at most 64 bytes the report is short enough
/// to be written in one piece (PIPE_BUF, pipe(7)).
pub const COLD_IMPORTS_MAX: usize = 16;

/// What a sandbox tells the supervisor, over its status pipe, in this order: `Prepared` or
/// `PrepareFailed`; then `Closed` or `PrepareFailed`; then `Started` or `Unloadable`; then
/// `Finished`. The process may end after any of them, and after `PrepareFailed`, `Unloadable` and
/// `Finished` it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SandboxReport {
    /// The sandbox is locked down and waits for its job. Until the job comes, the sandbox reports
    /// no other success.
    Prepared {
        /// What the sandbox has used so far; its run adds to it.
        used: Usage,
    },
    /// The sandbox could not lock itself down or close itself around the job, and ends.
    PrepareFailed {
        /// The layer and its error.
        error: String,
    },
    /// Code and globals are loaded. The author's code runs from here on, so every later report may
    /// come from that code.
    Started,
    /// The run came to its end, with the status with which the interpreter would exit.
    Finished {
        /// Exit status, 0 to 255.
        status: i32,
        /// Libraries that the run had to import cold, at most [`COLD_IMPORTS_MAX`].
        cold_imports: Vec<String>,
    },
    /// Python's `json` refused code or globals; nothing ran.
    Unloadable {
        /// Its error.
        message: String,
    },
    /// The job is read and its limits are set: from here on the way in which the process ends is
    /// the job's result.
    Closed,
}
