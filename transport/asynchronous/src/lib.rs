//! Packet sockets and other descriptors in tokio's runtime, for the supervisor.
//!
//! This is a crate of its own so that spawner and worker, which use the sockets too, are built
//! without a runtime.
#![deny(unsafe_code)]

use codejail_transport::{Packet, PacketError, PacketSocket};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use serde::{Serialize, de::DeserializeOwned};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// One end of a conversation. Several tasks may send and receive at the same time.
#[derive(Debug)]
pub struct AsyncPacketSocket(AsyncFd<PacketSocket>);

impl AsyncPacketSocket {
    /// Makes the socket non-blocking and registers it with the runtime.
    ///
    /// # Errors
    /// What `fcntl(2)` or `epoll_ctl(2)` says.
    #[allow(unsafe_code)]
    pub fn new(socket: PacketSocket) -> io::Result<Self> {
        fcntl(&socket, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        // SAFETY: a PacketSocket owns one open descriptor and returns it at every call; nothing
        // replaces or closes it before the socket is dropped, and the AsyncFd owns the socket.
        let registered = unsafe { AsyncFd::register(socket) };
        Ok(Self(registered?))
    }

    /// Sends one message; waits while the peer's queue is full.
    ///
    /// # Errors
    /// As [`PacketSocket::send`].
    pub async fn send<T: Serialize>(
        &self,
        message: &T,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), PacketError> {
        loop {
            match self.0.get_ref().send(message, descriptors) {
                Err(error) if error.would_block() => {
                    let mut ready = self.0.writable().await.map_err(lost)?;
                    ready.clear_ready();
                }
                done => return done,
            }
        }
    }

    /// Receives one message, or none when the peer closed its end. It never takes descriptors: the
    /// supervisor accepts them from nobody.
    ///
    /// # Errors
    /// As [`PacketSocket::receive`].
    pub async fn receive<T: DeserializeOwned>(&self) -> Result<Option<T>, PacketError> {
        self.once_there(PacketSocket::receive).await
    }

    /// Receives one message with its descriptors, as a test does in a spawner's place.
    ///
    /// # Errors
    /// As [`PacketSocket::receive_with_descriptors`].
    pub async fn receive_with_descriptors<T: DeserializeOwned>(
        &self,
    ) -> Result<Option<Packet<T>>, PacketError> {
        self.once_there(PacketSocket::receive_with_descriptors)
            .await
    }

    /// Receives once the socket is readable.
    async fn once_there<T>(
        &self,
        receive: impl Fn(&PacketSocket) -> Result<T, PacketError>,
    ) -> Result<T, PacketError> {
        loop {
            let mut ready = self.0.readable().await.map_err(lost)?;
            match receive(self.0.get_ref()) {
                Err(error) if error.would_block() => ready.clear_ready(),
                done => return done,
            }
        }
    }
}

/// A descriptor that somebody else reads without waiting. This type only tells when there is
/// something to read.
#[derive(Debug)]
pub struct AsyncReadable(AsyncFd<OwnedFd>);

impl AsyncReadable {
    /// Registers a copy of the descriptor, which must be non-blocking, with the runtime.
    ///
    /// # Errors
    /// What `dup(2)` or `epoll_ctl(2)` says.
    #[allow(unsafe_code)]
    pub fn new(descriptor: impl AsFd) -> io::Result<Self> {
        let own = descriptor.as_fd().try_clone_to_owned()?;
        // SAFETY: an OwnedFd owns one open descriptor and returns it at every call; nothing
        // replaces or closes it before it is dropped, and the AsyncFd owns it.
        let registered = unsafe { AsyncFd::register_with_interest(own, Interest::READABLE) };
        Ok(Self(registered?))
    }

    /// Waits until the descriptor is readable, then calls `read_all`. Somebody else may have read
    /// everything before that.
    ///
    /// # Errors
    /// The runtime shuts down.
    pub async fn readable(&self, read_all: impl FnOnce()) -> io::Result<()> {
        let mut ready = self.0.readable().await?;
        read_all();
        ready.clear_ready();
        Ok(())
    }
}

/// The runtime only fails here while it shuts down.
fn lost(error: io::Error) -> PacketError {
    let errno = error.raw_os_error().unwrap_or(nix::libc::EIO);
    PacketError::Socket(nix::errno::Errno::from_raw(errno))
}
