//! Sockets between the processes: one frame per packet, descriptors beside it.
//!
//! Only the two `SEQPACKET` conversations use this crate. It knows no messages: callers name the
//! type that is legal in their state, and anything else is an error that ends the conversation.
#![deny(unsafe_code)]

use codejail_protocol::frame::{self, FRAME_BYTES_MAX, FrameError, PREFIX_BYTES};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, recvmsg, sendmsg,
    socketpair,
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
    /// The peer sent something other than the one message that is legal now.
    #[error("the peer broke the protocol: {0}")]
    Frame(#[from] FrameError),
    /// The packet or its descriptors did not fit and were cut.
    #[error("the peer broke the protocol: a packet larger than any message")]
    Truncated,
}

impl PacketError {
    /// Whether the caller should try again once the socket is ready.
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

    /// Receives one message, or none when the peer closed its end. For the end that is trusted more
    /// than its peer: the kernel makes no descriptor in this process, whatever the peer has sent.
    ///
    /// # Errors
    /// What `recvmsg(2)` says, a packet that is not one whole `T`, or one with descriptors.
    pub fn receive<T: DeserializeOwned>(&self) -> Result<Option<T>, PacketError> {
        let packet = self.receive_packet(None)?;
        packet.map(|packet| decode(&packet)).transpose()
    }

    /// Receives one message with its descriptors, or none when the peer closed its end. For the end
    /// that is trusted less than its peer.
    ///
    /// # Errors
    /// What `recvmsg(2)` says, a packet that is not one whole `T`, or more than [`DESCRIPTORS_MAX`]
    /// descriptors. After an error all descriptors that came are closed.
    pub fn receive_with_descriptors<T: DeserializeOwned>(
        &self,
    ) -> Result<Option<Packet<T>>, PacketError> {
        let mut space = cmsg_space!([RawFd; DESCRIPTORS_MAX]);
        let received = self.receive_packet(Some(&mut space));
        // Before any error is returned, so that none of them is left open.
        let descriptors = own_descriptors(&space);
        let Some(packet) = received? else {
            return Ok(None);
        };
        let message = decode(&packet)?;
        Ok(Some(Packet {
            message,
            descriptors,
        }))
    }

    /// One packet's bytes, or none when the peer closed its end.
    fn receive_packet(&self, control: Option<&mut [u8]>) -> Result<Option<Vec<u8>>, PacketError> {
        let mut bytes = vec![0; self.waiting()?.min(PREFIX_BYTES + FRAME_BYTES_MAX)];
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let received = recvmsg::<UnixAddr>(
            self.0.as_raw_fd(),
            &mut parts,
            control,
            MsgFlags::MSG_CMSG_CLOEXEC,
        )?;
        let cut = MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC;
        if received.flags.intersects(cut) {
            return Err(PacketError::Truncated);
        }
        let length = received.bytes;
        bytes.truncate(length);
        Ok((length > 0).then_some(bytes))
    }

    /// Length of the next packet, 0 once the peer has closed: with `MSG_TRUNC` the kernel returns
    /// the real length (recv(2)).
    ///
    /// The buffer has that length because one for the longest packet would be expensive in a
    /// worker. Each fork shares the worker's memory anew, so every 4 KiB of the buffer would cost a
    /// page fault and a copied page.
    fn waiting(&self) -> Result<usize, Errno> {
        let look = MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC;
        Ok(recvmsg::<UnixAddr>(self.0.as_raw_fd(), &mut [], None, look)?.bytes)
    }
}

fn decode<T: DeserializeOwned>(packet: &[u8]) -> Result<T, PacketError> {
    Ok(frame::decode_packet(packet)?)
}

/// The fields before the descriptors of a control message, as the kernel writes them: length,
/// level, type (cmsg(3)).
const CONTROL_HEADER_BYTES: usize = size_of::<usize>() + 2 * size_of::<i32>();

/// Takes the descriptors that came with a packet; to be called once for each packet. `control` was
/// zero before the packet came, and has at most one message: the sockets ask for no other kind. We
/// do not use nix's iterator: it returns no descriptor of a message that was cut, and those would
/// stay open.
#[allow(unsafe_code)]
fn own_descriptors(control: &[u8]) -> Vec<OwnedFd> {
    let (length, rest) = control.split_at(size_of::<usize>());
    let length = length.try_into().map_or(0, usize::from_ne_bytes);
    let kind = [libc::SOL_SOCKET, libc::SCM_RIGHTS].map(i32::to_ne_bytes);
    if length < CONTROL_HEADER_BYTES || !rest.starts_with(kind.as_flattened()) {
        return Vec::new();
    }
    let numbers = &control[CONTROL_HEADER_BYTES..length.min(control.len())];
    let (numbers, _) = numbers.as_chunks();
    let numbers = numbers.iter().map(|number| RawFd::from_ne_bytes(*number));
    // SAFETY: recvmsg(2) has made each descriptor for this process just now, and the control
    // message that names it is used up here, so nothing else owns it.
    let owned = numbers.map(|number| unsafe { OwnedFd::from_raw_fd(number) });
    owned.collect()
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
mod tests;
