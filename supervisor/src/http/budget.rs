//! How many bytes of bodies and answers the service holds for all clients together. No request
//! waits for room: a request without room is refused, so no request can block another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of each body and of each answer that are not counted. Most bodies and answers are smaller
/// (a course library has some 140 kB), so there is always room for them. The number of connections
/// bounds how many there can be.
pub const FREE_BYTES: usize = 256 * 1024;

/// How many bytes of the budget are held.
#[derive(Debug, Default)]
pub struct Budget(AtomicUsize);

/// One request's part of the budget; dropping the part gives it back.
#[derive(Debug)]
pub struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

/// There is no room.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl Budget {
    /// Bytes that are held now.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Held {
    /// A part that holds nothing yet.
    #[must_use]
    pub fn of(budget: &Arc<Budget>) -> Self {
        Self {
            budget: Arc::clone(budget),
            bytes: 0,
        }
    }

    /// Sets this part to the size of a body or an answer of `bytes`, where all parts together may
    /// hold `held_bytes_max`. A longer body or answer counts as `held_bytes_max`: so there is room
    /// for it while nothing else is held.
    ///
    /// # Errors
    /// There is no room; the part stays as it was.
    pub fn resize(&mut self, bytes: usize, held_bytes_max: usize) -> Result<(), Full> {
        let counted = bytes.saturating_sub(FREE_BYTES).min(held_bytes_max);
        let total = &self.budget.0;
        if counted <= self.bytes {
            total.fetch_sub(self.bytes - counted, Ordering::Relaxed);
        } else {
            let more = counted - self.bytes;
            let taken = |held: usize| Some(held + more).filter(|held| *held <= held_bytes_max);
            total
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken)
                .map_err(|_| Full)?;
        }
        self.bytes = counted;
        Ok(())
    }

    /// Gives the whole part back.
    pub fn release(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = 0;
    }

    /// Whether this part holds anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 100;

    #[test]
    fn what_is_short_finds_room_whatever_others_hold() {
        let budget = Arc::default();
        let (mut large, mut small) = (Held::of(&budget), Held::of(&budget));
        large.resize(FREE_BYTES + MAX, MAX).unwrap();
        assert_eq!(small.resize(FREE_BYTES, MAX), Ok(()));
        assert_eq!(small.resize(FREE_BYTES + 1, MAX), Err(Full));
        assert_eq!(budget.held_bytes(), MAX);
    }

    #[test]
    fn what_is_given_back_can_be_held_again() {
        let budget = Arc::default();
        let (mut one, mut other) = (Held::of(&budget), Held::of(&budget));
        one.resize(FREE_BYTES + 60, MAX).unwrap();
        assert_eq!(other.resize(FREE_BYTES + 60, MAX), Err(Full));
        one.resize(FREE_BYTES + 40, MAX).unwrap();
        other.resize(FREE_BYTES + 60, MAX).unwrap();
        assert_eq!(one.resize(FREE_BYTES + 41, MAX), Err(Full));
        drop(other);
        one.resize(FREE_BYTES + 41, MAX).unwrap();
        drop(one);
        assert_eq!(budget.held_bytes(), 0);
    }

    #[test]
    fn alone_even_what_is_longer_than_the_budget_finds_room() {
        let budget = Arc::default();
        let mut held = Held::of(&budget);
        assert_eq!(held.resize(FREE_BYTES + 3 * MAX, MAX), Ok(()));
        assert_eq!(Held::of(&budget).resize(FREE_BYTES + 1, MAX), Err(Full));
    }
}
