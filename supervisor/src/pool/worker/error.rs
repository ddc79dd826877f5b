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
    /// It said something that is not legal in its state.
    #[error("it broke the protocol: {0}")]
    Protocol(&'static str),
    /// It could not start.
    #[error("{0}")]
    Start(String),
    /// It said itself why it could not get warm, with this Python.
    #[error("python.bin = {bin:?}: {error}")]
    Refused {
        /// As configured.
        bin: PathBuf,
        /// In the worker's words.
        error: String,
    },
    /// It did not get warm in time.
    #[error("it was not warm after {0:?}")]
    Slow(Duration),
    /// It did not take an order or end a sandbox in time.
    #[error("it did not take an order or end a sandbox in {0:?}")]
    Hung(Duration),
    /// It ended by itself.
    #[error("it ended unexpectedly")]
    Ended,
    /// It ended by itself before it was warm: this Python, with this status (negative for a
    /// signal).
    #[error("python.bin = {bin:?}: it ended before it was warm, with {}", describe_status(*.status))]
    Exited {
        /// As configured.
        bin: PathBuf,
        /// 0 to 255, or minus the signal's number.
        status: i32,
    },
    /// It can't be let near anybody's code.
    #[error("it failed its startup checks: {0}")]
    Unsafe(String),
    /// It may have started with some files of Python as they were, and some as they are.
    #[error("Python's files changed while it started")]
    PythonChanged,
    /// It has no place left to run anything in.
    #[error("what its sandboxes left can't be removed")]
    NoSeat,
    /// No uids are left for it: workers that were killed have not ended and still have theirs.
    #[error("workers that were killed have not ended; no uids are left for another one")]
    NoSlot,
    /// It was killed and is still there: its uids can't be given to another before it ends.
    #[error("it was killed and has not ended after {0:?}")]
    Stays(Duration),
}

impl WorkerError {
    /// Whether the sandboxes that run may finish: the worker only can't be given new ones.
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
