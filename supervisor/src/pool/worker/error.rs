//! Why a worker ended or never was.

use crate::spawner_link::SpawnerLinkError;
use codejail_transport::PacketError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a worker ended or never was.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The spawner could not start it.
    #[error(transparent)]
    Launch(#[from] SpawnerLinkError),
    /// The conversation broke.
    #[error("control socket: {0}")]
    Packet(#[from] PacketError),
    /// A pipe or socket could not be made.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It sent a message that is not legal in its state.
    #[error("it broke the protocol: {0}")]
    Protocol(&'static str),
    /// It could not start.
    #[error("{0}")]
    Start(String),
    /// It could not get warm with this Python, and reported why.
    #[error("python.bin = {bin:?}: {error}")]
    Refused {
        /// As configured.
        bin: PathBuf,
        /// In the worker's words.
        error: String,
    },
    /// It did not get warm in time.
    #[error(
        "it was not warm after {0:?}: a preload hangs, or the host is slow; then raise \
         warm_up_timeout_ms"
    )]
    Slow(Duration),
    /// It did not take an order or end a sandbox in time.
    #[error("it did not take an order or end a sandbox in {0:?}")]
    Hung(Duration),
    /// It ended by itself.
    #[error("it ended unexpectedly")]
    Ended,
    /// It ended by itself before it was warm, with this Python and this status (negative for a
    /// signal).
    #[error("python.bin = {bin:?}: it ended before it was warm, with {}", describe_status(*.status))]
    Exited {
        /// As configured.
        bin: PathBuf,
        /// 0 to 255, or minus the signal's number.
        status: i32,
    },
    /// It failed its startup checks and must not run anybody's code.
    #[error("it failed its startup checks: {0}")]
    Unsafe(String),
    /// Python's files changed while it started, so it may have read some old and some new files.
    #[error("Python's files changed while it started")]
    PythonChanged,
    /// It has no seat left in which a sandbox could run.
    #[error("the files of its sandboxes can't be removed")]
    NoSeat,
    /// No uids are left for it: killed workers have not ended and still have theirs.
    #[error("workers that were killed have not ended; no uids are left for another one")]
    NoSlot,
    /// It was killed and has not ended. No other worker can have its uids until it ends.
    #[error("it was killed and has not ended after {0:?}")]
    Stays(Duration),
}

impl WorkerError {
    /// Whether the running sandboxes may finish; the worker gets no new ones.
    pub fn keeps_running_sandboxes(&self) -> bool {
        matches!(self, Self::Start(_) | Self::Io(_))
    }
}

fn describe_status(status: i32) -> String {
    match status {
        0.. => format!("exit status {status}"),
        _ => format!("signal {}", -status),
    }
}
