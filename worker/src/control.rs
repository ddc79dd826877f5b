//! The worker's end of its conversation with the supervisor.

use crate::report;
use codejail_protocol::control::{WorkerConfig, WorkerReport, WorkerRequest};
use codejail_transport::{Packet, PacketError, PacketSocket};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Where the spawner puts the control socket.
const CONTROL: RawFd = 3;

/// Why the conversation ended.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The socket failed, or a packet on it was not an order.
    #[error("control socket: {0}")]
    Packet(#[from] PacketError),
    /// An order that is not legal in this state.
    #[error("control socket: expected {expected}")]
    Unexpected {
        /// What would have been legal.
        expected: &'static str,
    },
}

/// The control socket.
#[derive(Debug)]
pub struct Control(PacketSocket);

impl Control {
    /// Takes the socket that the spawner left at its agreed number.
    pub fn inherited() -> Self {
        // SAFETY: the spawner put the socket there before exec, and this is the only taker.
        let fd = unsafe { OwnedFd::from_raw_fd(CONTROL) };
        Self(PacketSocket::from(fd))
    }

    /// Waits for the first order, which must be `Start`.
    pub fn wait_for_start(&self) -> Result<WorkerConfig, ControlError> {
        match self.wait_for_order()? {
            Some(Packet {
                message: WorkerRequest::Start(config),
                descriptors,
            }) if descriptors.is_empty() => Ok(config),
            _ => Err(ControlError::Unexpected { expected: "Start" }),
        }
    }

    /// Waits for the next order; none when the supervisor has closed its end.
    pub fn wait_for_order(&self) -> Result<Option<Packet<WorkerRequest>>, ControlError> {
        Ok(self.0.receive_with_descriptors()?)
    }

    /// Sends one report; blocks while the supervisor's queue is full. A report that does not fit
    /// into a frame goes with shorter texts.
    pub fn report(&self, report: &WorkerReport) -> Result<(), ControlError> {
        match self.0.send(report, &[]) {
            Err(PacketError::Frame(_)) => Ok(self.0.send(&report::shortened(report), &[])?),
            sent => Ok(sent?),
        }
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
