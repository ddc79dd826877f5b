//! Reads a request's body into one buffer. Three things are bounded: its length, the bytes that the
//! service holds for all clients, and the work for tiny pieces.

use super::budget::Held;
use super::pace::{Pace, Pieces};
use axum::body::{Body, HttpBody};
use http_body_util::BodyExt;

/// The first buffer's bytes: most bodies need no second one.
const FIRST_BYTES: usize = 64 * 1024;

/// Bounds of a body.
#[derive(Debug, Clone, Copy)]
pub struct BodyBounds {
    /// Bytes of this body.
    pub bytes_max: usize,
    /// Bytes of all bodies and answers that are held together.
    pub held_bytes_max: usize,
}

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It has more bytes than it may.
    #[error("it is larger than {0} bytes")]
    TooLarge(usize),
    /// The service holds too many bytes for other requests.
    #[error("there is no room for it")]
    NoRoom,
    /// The body ended early, or breaks the rules of HTTP.
    #[error("{0}")]
    Broken(axum::Error),
}

/// Reads a body; `held` is its part of the budget.
///
/// # Errors
/// The body is out of bounds or broken. A body for which there is no room is still read to its end,
/// but not kept, so that its client can receive the refusal.
pub async fn read(
    mut body: Body,
    bounds: BodyBounds,
    held: &mut Held,
    pace: &Pace,
) -> Result<Vec<u8>, BodyError> {
    let hint = body.size_hint();
    let fits = |bytes: u64| bytes <= bounds.bytes_max as u64;
    if !fits(hint.lower()) {
        return Err(BodyError::TooLarge(bounds.bytes_max));
    }
    let expected = hint.upper().filter(|bytes| fits(*bytes));
    let expected = expected.map_or(bounds.bytes_max, |bytes| bytes as usize);
    let mut pieces = Pieces::new(pace);
    let mut buffer = Vec::new();
    let mut length = 0;
    let mut has_room = true;
    while let Some(frame) = body.frame().await {
        // Ignore trailers.
        let Ok(piece) = frame.map_err(BodyError::Broken)?.into_data() else {
            continue;
        };
        length += piece.len();
        if length > bounds.bytes_max {
            return Err(BodyError::TooLarge(bounds.bytes_max));
        }
        if has_room && held.resize(length, bounds.held_bytes_max).is_err() {
            has_room = false;
            buffer = Vec::new();
            held.release();
        }
        if has_room {
            make_room(&mut buffer, piece.len(), expected);
            buffer.extend_from_slice(&piece);
        }
        pieces.add(piece.len()).await;
    }
    if has_room {
        Ok(buffer)
    } else {
        Err(BodyError::NoRoom)
    }
}

/// Makes room for `more` bytes. It reserves the `expected` length, but at most twice the bytes that
/// have come, since a client can announce any length.
fn make_room(buffer: &mut Vec<u8>, more: usize, expected: usize) {
    let needed = buffer.len() + more;
    if needed > buffer.capacity() {
        let possible = FIRST_BYTES.max(2 * needed);
        buffer.reserve_exact(expected.min(possible).max(needed) - buffer.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::budget::{Budget, FREE_BYTES};
    use std::sync::Arc;

    async fn read_body(body: Vec<u8>, bounds: BodyBounds) -> (Result<Vec<u8>, BodyError>, usize) {
        let budget = Arc::new(Budget::default());
        let mut held = Held::of(&budget);
        let read = read(Body::from(body), bounds, &mut held, &Pace::default()).await;
        (read, budget.held_bytes())
    }

    #[tokio::test]
    async fn a_body_counts_while_it_is_held() {
        let bounds = BodyBounds {
            bytes_max: 1 << 20,
            held_bytes_max: 1 << 20,
        };
        let (read, held) = read_body(vec![b'x'; FREE_BYTES + 5], bounds).await;
        assert_eq!(read.unwrap().len(), FREE_BYTES + 5);
        assert_eq!(held, 5);
        let (read, _) = read_body(vec![b'x'; (1 << 20) + 1], bounds).await;
        assert!(matches!(read, Err(BodyError::TooLarge(_))));
    }

    #[test]
    fn a_buffer_is_never_more_than_twice_what_has_come() {
        let mut buffer = Vec::new();
        make_room(&mut buffer, 10, 1 << 30);
        assert!(buffer.capacity() <= FIRST_BYTES);
        buffer.resize(FIRST_BYTES, 0);
        make_room(&mut buffer, 1, 1 << 30);
        assert!(buffer.capacity() <= 2 * (FIRST_BYTES + 1));
        let mut buffer = Vec::new();
        make_room(&mut buffer, 10, 500);
        assert_eq!(buffer.capacity(), 500);
    }
}
