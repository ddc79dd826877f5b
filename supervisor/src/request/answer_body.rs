//! The bytes of an answer. The pieces of a long answer are not copied together, and count as held
//! until they are written to the client.

use crate::big_work;
use crate::http::budget::{Full, Held};
use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// An answer's body, in pieces.
#[derive(Debug)]
pub struct AnswerBody(VecDeque<Bytes>);

/// Bytes that count as held until they are dropped.
struct HeldBytes {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AnswerBody {
    /// A body in one piece.
    #[must_use]
    pub fn of(text: String) -> Self {
        Self(VecDeque::from([Bytes::from(text)]))
    }

    /// A body of three texts; the middle one may be long.
    #[must_use]
    pub fn around(start: &'static str, middle: String, end: impl Into<String>) -> Self {
        let end = end.into();
        if middle.len() < big_work::BYTES_MIN {
            return Self::of([start, &middle, &end].concat());
        }
        let pieces = [start.into(), middle.into(), end.into()];
        Self(VecDeque::from(pieces))
    }

    /// Its length.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Makes this body count as held until it is written, in place of what was `held` before.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn held(self, mut held: Held, held_bytes_max: usize) -> Result<Self, Full> {
        held.resize(self.bytes(), held_bytes_max)?;
        if held.is_empty() {
            return Ok(self);
        }
        let Self(mut pieces) = self;
        // One piece has nearly all bytes of the body.
        if let Some(longest) = pieces.iter_mut().max_by_key(|piece| piece.len()) {
            let bytes = std::mem::take(longest);
            let _held = held;
            *longest = Bytes::from_owner(HeldBytes { bytes, _held });
        }
        Ok(Self(pieces))
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes() as u64)
    }
}

#[cfg(test)]
impl std::fmt::Display for AnswerBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0
            .iter()
            .try_for_each(|piece| f.write_str(&String::from_utf8_lossy(piece)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::budget::{Budget, FREE_BYTES};
    use std::sync::Arc;

    #[test]
    fn a_long_body_counts_until_its_last_byte_is_gone() {
        let budget = Arc::new(Budget::default());
        let middle = "x".repeat(FREE_BYTES);
        let body = AnswerBody::around("start", middle.clone(), "end");
        assert_eq!(body.to_string(), format!("start{middle}end"));
        let mut body = body.held(Held::of(&budget), 100).unwrap();
        assert_eq!(budget.held_bytes(), "startend".len());
        let pieces: Vec<Bytes> = body.0.drain(..).collect();
        drop(body);
        assert_eq!(budget.held_bytes(), "startend".len());
        drop(pieces);
        assert_eq!(budget.held_bytes(), 0);
    }

    #[test]
    fn a_body_without_room_is_none() {
        let budget = Arc::new(Budget::default());
        let mut other = Held::of(&budget);
        other.resize(FREE_BYTES + 100, 100).unwrap();
        let body = AnswerBody::of("x".repeat(FREE_BYTES + 1));
        assert!(body.held(Held::of(&budget), 100).is_err());
        let body = AnswerBody::of("x".repeat(FREE_BYTES));
        assert!(body.held(Held::of(&budget), 100).is_ok());
    }
}
