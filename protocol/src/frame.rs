//! The frame around each message: four bytes of length, little endian, then bincode.
//!
//! This is the only file that names the serialisation format. It does no I/O: callers bring the
//! bytes, and [`body_length`] tells them how many to bring.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::{Serialize, de::DeserializeOwned};

/// Bytes before each body: its length as a little-endian `u32`.
pub const PREFIX_BYTES: usize = 4;

/// Longest body. The largest message is a worker's `Start` with its preload and path lists; a
/// packet of this size still fits the default socket buffer (208 KiB, `net.core.wmem_default`).
/// Bulk data (code, globals, libraries) travels beside frames, never inside.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

const FORMAT: Configuration<LittleEndian, Fixint, Limit<FRAME_BYTES_MAX>> =
    bincode::config::standard()
        .with_little_endian()
        .with_fixed_int_encoding()
        .with_limit::<FRAME_BYTES_MAX>();

/// Why bytes are not a frame. The receiver ends the conversation with a peer that sent such bytes.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FrameError {
    /// The announced or encoded body is longer than a frame may be.
    #[error("a frame of {0} bytes, where at most {FRAME_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// The message could not be written in the wire format.
    #[error("the message cannot be encoded: {0}")]
    Encode(String),
    /// The body is not the message that is legal here.
    #[error("the body is not the message expected here: {0}")]
    Decode(String),
    /// The body holds the message and then more, or the packet is not one whole frame.
    #[error("{0} bytes do not belong to the message")]
    Trailing(usize),
}

/// Encodes `message` as one whole frame, prefix included.
///
/// # Errors
/// [`FrameError::TooLong`] if the body would exceed [`FRAME_BYTES_MAX`].
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut frame = vec![0; PREFIX_BYTES];
    let written = bincode::serde::encode_into_std_write(message, &mut frame, FORMAT)
        .map_err(|error| FrameError::Encode(error.to_string()))?;
    let length = u32::try_from(written)
        .ok()
        .filter(|_| written <= FRAME_BYTES_MAX)
        .ok_or(FrameError::TooLong(written))?;
    frame[..PREFIX_BYTES].copy_from_slice(&length.to_le_bytes());
    Ok(frame)
}

/// The length of the body that follows `prefix`, checked before anything is allocated for it.
///
/// # Errors
/// [`FrameError::TooLong`] beyond [`FRAME_BYTES_MAX`].
pub fn body_length(prefix: [u8; PREFIX_BYTES]) -> Result<usize, FrameError> {
    let length = u32::from_le_bytes(prefix) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(FrameError::TooLong(length));
    }
    Ok(length)
}

/// Decodes one body, all of it.
///
/// # Errors
/// [`FrameError::Decode`] if it is not a `T`, [`FrameError::Trailing`] if bytes are left over.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    if body.len() > FRAME_BYTES_MAX {
        return Err(FrameError::TooLong(body.len()));
    }
    let (message, used) = bincode::serde::decode_from_slice(body, FORMAT)
        .map_err(|error| FrameError::Decode(error.to_string()))?;
    if used != body.len() {
        return Err(FrameError::Trailing(body.len() - used));
    }
    Ok(message)
}

/// Decodes a packet that must hold exactly one frame, as on the `SEQPACKET` sockets.
///
/// # Errors
/// As [`decode`]; [`FrameError::Trailing`] also if prefix and packet length disagree.
pub fn decode_packet<T: DeserializeOwned>(packet: &[u8]) -> Result<T, FrameError> {
    let (prefix, body) = packet
        .split_first_chunk::<PREFIX_BYTES>()
        .ok_or(FrameError::Trailing(packet.len()))?;
    let length = body_length(*prefix)?;
    if length != body.len() {
        return Err(FrameError::Trailing(body.len().abs_diff(length)));
    }
    decode(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::WorkerReport;
    use crate::job::{JobHeader, SandboxReport};
    use crate::spawn::{SpawnerReport, SpawnerRequest};
    use proptest::prelude::*;

    #[test]
    fn a_length_over_the_bound_is_refused_before_the_body_is_read() {
        let prefix = u32::try_from(FRAME_BYTES_MAX + 1).unwrap().to_le_bytes();
        assert_eq!(
            body_length(prefix),
            Err(FrameError::TooLong(FRAME_BYTES_MAX + 1))
        );
        assert_eq!(
            body_length([0xff; 4]),
            Err(FrameError::TooLong(0xffff_ffff))
        );
    }

    #[test]
    fn a_string_that_claims_more_bytes_than_a_frame_is_refused_without_allocating_them() {
        // SandboxReport::Unloadable (variant 4), then a string length of 2^60.
        let mut body = 4_u32.to_le_bytes().to_vec();
        body.extend((1_u64 << 60).to_le_bytes());
        assert!(matches!(
            decode::<SandboxReport>(&body),
            Err(FrameError::Decode(_))
        ));
    }

    #[test]
    fn bytes_after_the_message_are_refused() {
        let mut frame = encode(&SandboxReport::Started).unwrap();
        frame.push(0);
        assert_eq!(
            decode::<SandboxReport>(&frame[PREFIX_BYTES..]),
            Err(FrameError::Trailing(1))
        );
        assert!(decode_packet::<SandboxReport>(&frame).is_err());
    }

    #[test]
    fn a_message_too_long_for_a_frame_is_not_encoded() {
        let message = SandboxReport::Unloadable {
            message: "x".repeat(FRAME_BYTES_MAX),
        };
        assert!(encode(&message).is_err());
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            let _ = decode_packet::<WorkerReport>(&bytes);
            let _ = decode::<SandboxReport>(&bytes);
            let _ = decode::<JobHeader>(&bytes);
            let _ = decode::<SpawnerRequest>(&bytes);
            let _ = decode::<SpawnerReport>(&bytes);
        }

        #[test]
        fn what_was_encoded_decodes_to_the_same(status in any::<i32>(), text in ".{0,200}") {
            for message in [
                SandboxReport::Finished {
                    status,
                    cold_imports: vec![text.clone()],
                },
                SandboxReport::Unloadable { message: text },
            ] {
                let frame = encode(&message).unwrap();
                prop_assert_eq!(decode_packet::<SandboxReport>(&frame), Ok(message));
            }
        }

        #[test]
        fn a_cut_frame_is_refused(status in any::<i32>(), cut in 1_usize..8) {
            let frame = encode(&SandboxReport::Finished {
                status,
                cold_imports: Vec::new(),
            })
            .unwrap();
            prop_assert!(decode_packet::<SandboxReport>(&frame[..frame.len() - cut]).is_err());
        }
    }
}
