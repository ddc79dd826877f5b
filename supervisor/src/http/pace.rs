//! How fast bodies may come in tiny pieces. Each piece costs the same work, however short it is,
//! and a chunked body can have a piece for each byte. So the work for such bodies is bounded for
//! all of them together.

use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Free pieces of each body; one more is free for each [`FREE_BYTES_EACH`].
const FREE: usize = 256;
const FREE_BYTES_EACH: usize = 1024;
/// The part that each further piece takes of the time that all bodies share. That allows 100,000
/// pieces a second; the work for one takes less than a microsecond.
const EACH: Duration = Duration::from_micros(10);
/// A body waits once for this many pieces, since timers count in milliseconds.
const BATCH: u32 = 64;

/// The time that all pieces share.
#[derive(Debug, Default)]
pub struct Pace(Mutex<Option<Instant>>);

/// One body's pieces.
#[derive(Debug)]
pub struct Pieces<'a> {
    pace: &'a Pace,
    bytes: usize,
    count: usize,
    paid: usize,
}

impl Pace {
    /// When the next batch may come.
    fn next_batch(&self) -> Instant {
        let mut last = self.0.lock();
        let now = Instant::now();
        let next = last.map_or(now, |last| last.max(now)) + BATCH * EACH;
        *last = Some(next);
        next
    }
}

impl<'a> Pieces<'a> {
    /// A body without pieces yet.
    pub fn new(pace: &'a Pace) -> Self {
        Self {
            pace,
            bytes: 0,
            count: 0,
            paid: 0,
        }
    }

    /// Counts a piece, and waits if they come too fast.
    pub async fn add(&mut self, bytes: usize) {
        self.count += 1;
        self.bytes += bytes;
        if self.count > FREE + self.bytes / FREE_BYTES_EACH + self.paid {
            self.paid += BATCH as usize;
            sleep_until(self.pace.next_batch()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_in_large_pieces_waits_for_nothing() {
        let pace = Pace::default();
        let started = Instant::now();
        let mut pieces = Pieces::new(&pace);
        for _ in 0..100_000 {
            pieces.add(FREE_BYTES_EACH).await;
        }
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_in_tiny_pieces_share_the_time() {
        let pace = Pace::default();
        let started = Instant::now();
        let body = async || {
            let mut pieces = Pieces::new(&pace);
            for _ in 0..10_000 {
                pieces.add(1).await;
            }
        };
        tokio::join!(body(), body());
        let shared = EACH * 2 * (10_000 - 2 * FREE as u32);
        assert!(started.elapsed() > shared, "{:?}", started.elapsed());
    }
}
