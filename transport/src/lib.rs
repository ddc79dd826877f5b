//! Sockets between the processes: one frame per packet, descriptors beside it.
//!
//! Only the two `SEQPACKET` conversations use it. It knows no message: callers name the type that
//! is legal in their state, and anything else is an error that ends the conversation.
#![deny(unsafe_code)]

use codejail_protocol::frame::{self, FRAME_BYTES_MAX, FrameError, PREFIX_BYTES};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, RecvMsg, SockFlag, SockType,
    UnixAddr, recvmsg, sendmsg, socketpair,
};
use serde::{Serialize, de::DeserializeOwned};
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Most descriptors in one packet: a sandbox's standard input, output, error and status pipe.
pub const DESCRIPTORS_MAX: usize = 4;

/// Why a packet could not be sent or received.
#[derive(Debug, thiserror::Error)]
pub enum PacketError {
    /// The socket failed; `EAGAIN` where it does not block.
    #[error("the socket failed: {0}")]
    Socket(#[from] Errno),
    /// The peer sent something else than the one message that is legal now.
    #[error("the peer broke the protocol: {0}")]
    Frame(#[from] FrameError),
    /// The packet or its descriptors did not fit and were cut.
    #[error("the peer broke the protocol: a packet larger than any message")]
    Truncated,
}

impl PacketError {
    /// Whether trying again once the socket is ready is the answer.
    #[must_use]
    pub fn would_block(&self) -> bool {
        matches!(self, Self::Socket(Errno::EAGAIN))
    }
}

/// One message with the descriptors that came along.
#[derive(Debug)]
pub struct Packet<T> {
    /// The message.
    pub message: T,
    /// Its descriptors, close-on-exec, in the order in which they were sent.
    pub descriptors: Vec<OwnedFd>,
}

/// One end of a conversation.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// Two connected ends, close-on-exec, blocking.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE` or `ENOMEM`.
    pub fn pair() -> Result<(Self, Self), Errno> {
        let (left, right) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )?;
        Ok((Self(left), Self(right)))
    }

    /// Sends `message` and copies of `descriptors` as one packet: all of it or nothing.
    ///
    /// # Errors
    /// [`PacketError::Frame`] for a message that is too long, else what `sendmsg(2)` says;
    /// `EPIPE` means that the peer is gone.
    pub fn send<T: Serialize>(
        &self,
        message: &T,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), PacketError> {
        let packet = frame::encode(message)?;
        let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let control = if raw.is_empty() { &[][..] } else { &rights[..] };
        sendmsg::<UnixAddr>(
            self.0.as_raw_fd(),
            &[IoSlice::new(&packet)],
            control,
            MsgFlags::MSG_NOSIGNAL,
            None,
        )?;
        Ok(())
    }

    /// Receives one packet, or none when the peer closed its end.
    ///
    /// # Errors
    /// What `recvmsg(2)` says, or a packet that is not one whole `T`.
    pub fn receive<T: DeserializeOwned>(&self) -> Result<Option<Packet<T>>, PacketError> {
        let mut bytes = vec![0; self.waiting()?.min(PREFIX_BYTES + FRAME_BYTES_MAX)];
        let mut space = cmsg_space!([RawFd; DESCRIPTORS_MAX]);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let received = recvmsg::<UnixAddr>(
            self.0.as_raw_fd(),
            &mut parts,
            Some(&mut space),
            MsgFlags::MSG_CMSG_CLOEXEC,
        )?;
        let cut = MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC;
        let truncated = received.flags.intersects(cut);
        let length = received.bytes;
        let descriptors = own_descriptors(received);
        if truncated {
            return Err(PacketError::Truncated);
        }
        if length == 0 {
            return Ok(None);
        }
        let message = frame::decode_packet(&bytes[..length])?;
        Ok(Some(Packet {
            message,
            descriptors,
        }))
    }

    /// Length of the next packet, 0 once the peer has closed: with `MSG_TRUNC` the kernel returns
    /// the real length (recv(2)).
    ///
    /// A buffer for the longest packet would be dear to a worker. Each fork shares the worker's
    /// memory anew, so every 4 KiB of the buffer would cost a page fault and a copied page.
    fn waiting(&self) -> Result<usize, Errno> {
        let look = MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC;
        Ok(recvmsg::<UnixAddr>(self.0.as_raw_fd(), &mut [], None, look)?.bytes)
    }
}

/// Takes the descriptors that came with a packet; whoever receives a packet calls this once.
#[allow(unsafe_code)]
fn own_descriptors(received: RecvMsg<'_, '_, UnixAddr>) -> Vec<OwnedFd> {
    let mut descriptors = Vec::new();
    for message in received.cmsgs().into_iter().flatten() {
        if let ControlMessageOwned::ScmRights(raw) = message {
            for number in raw {
                // SAFETY: recvmsg(2) has made this descriptor for this process just now, and the
                // packet that names it is used up here, so nothing else owns it.
                descriptors.push(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
    }
    descriptors
}

impl From<OwnedFd> for PacketSocket {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<PacketSocket> for OwnedFd {
    fn from(socket: PacketSocket) -> Self {
        socket.0
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use codejail_protocol::control::{SandboxId, WorkerRequest};
    use nix::unistd::{pipe, read, write};

    fn kill(number: u64) -> WorkerRequest {
        WorkerRequest::Kill {
            sandbox: SandboxId(number),
        }
    }

    #[test]
    fn a_message_and_its_descriptors_arrive_together() {
        let (left, right) = PacketSocket::pair().unwrap();
        let (reader, writer) = pipe().unwrap();
        left.send(&kill(7), &[writer.as_fd()]).unwrap();
        let packet = right.receive::<WorkerRequest>().unwrap().unwrap();
        assert_eq!(packet.message, kill(7));
        write(&packet.descriptors[0], b"x").unwrap();
        let mut byte = [0];
        assert_eq!(read(&reader, &mut byte), Ok(1));
    }

    #[test]
    fn a_closed_peer_is_an_end_and_not_an_error() {
        let (left, right) = PacketSocket::pair().unwrap();
        drop(left);
        assert!(right.receive::<WorkerRequest>().unwrap().is_none());
        assert!(matches!(
            right.send(&kill(1), &[]),
            Err(PacketError::Socket(Errno::EPIPE))
        ));
    }

    #[test]
    fn packets_come_one_by_one_and_whole() {
        let (left, right) = PacketSocket::pair().unwrap();
        let (reader, _writer) = pipe().unwrap();
        left.send(&kill(1), &[reader.as_fd()]).unwrap();
        left.send(&kill(2), &[]).unwrap();
        let first = right.receive::<WorkerRequest>().unwrap().unwrap();
        assert_eq!((first.message, first.descriptors.len()), (kill(1), 1));
        let second = right.receive::<WorkerRequest>().unwrap().unwrap();
        assert_eq!((second.message, second.descriptors.len()), (kill(2), 0));
    }

    #[test]
    fn a_packet_longer_than_any_message_is_a_broken_protocol() {
        let (left, right) = PacketSocket::pair().unwrap();
        let long = vec![0; PREFIX_BYTES + FRAME_BYTES_MAX + 1];
        nix::sys::socket::send(left.as_raw_fd(), &long, MsgFlags::empty()).unwrap();
        assert!(matches!(
            right.receive::<WorkerRequest>(),
            Err(PacketError::Truncated)
        ));
    }

    #[test]
    fn garbage_is_a_broken_protocol() {
        let (left, right) = PacketSocket::pair().unwrap();
        nix::sys::socket::send(left.as_raw_fd(), &[9; 40], MsgFlags::empty()).unwrap();
        assert!(matches!(
            right.receive::<WorkerRequest>(),
            Err(PacketError::Frame(_))
        ));
    }
}
