//! Errors of the work with the spawner.

use super::SILENCE_MAX;
use codejail_transport::PacketError;
use std::io;
use std::time::Duration;

/// Why the work with the spawner failed.
#[derive(Debug, thiserror::Error)]
pub enum SpawnerLinkError {
    /// The socket failed, or a packet was not a report.
    #[error("spawner: {0}")]
    Packet(#[from] PacketError),
    /// The socket could not be registered.
    #[error("spawner: {0}")]
    Io(#[from] io::Error),
    /// The host can't do what the configuration wants.
    #[error("spawner: {0}")]
    Configure(String),
    /// A worker could not be started.
    #[error("spawner: {0}")]
    Launch(String),
    /// It takes no order, or does not answer an order.
    #[error("spawner: it has not answered for {SILENCE_MAX:?}")]
    Silent,
    /// It did not end when it was told to.
    #[error(
        "spawner: it has not ended after {0:?}; processes and directories stay until it runs \
         again and removes them"
    )]
    Stuck(Duration),
    /// It sent a message that is not legal in this state, or closed its socket.
    #[error("spawner: it is gone")]
    Gone,
}
