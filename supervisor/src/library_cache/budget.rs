//! How much time compilations may take from executions. Every client that may execute can cause
//! compilations, which bypass admission. Without a bound, one changed byte a second would keep a
//! processor busy.

use std::time::Duration;
use tokio::time::Instant;

/// Time that may be spent at once. It is enough for all libraries of a service that has just
/// started, at some tenths of a second each, or for two of the largest.
const BURST: Duration = Duration::from_secs(10);
/// The share of one processor that compilations may take in the long run.
const SHARE: f64 = 0.1;

/// Time for compilations. Each compilation uses some of it, and it fills up again slowly.
#[derive(Debug)]
pub struct Budget {
    /// In seconds. It is below 0 if the last compilation took longer than the time that was left.
    left: f64,
    updated: Instant,
}

impl Budget {
    /// A full budget.
    pub fn new() -> Self {
        Self {
            left: BURST.as_secs_f64(),
            updated: Instant::now(),
        }
    }

    /// Whether another compilation may begin.
    pub fn allows(&mut self) -> bool {
        let elapsed = self.updated.elapsed();
        self.updated += elapsed;
        let filled = self.left + elapsed.as_secs_f64() * SHARE;
        self.left = filled.min(BURST.as_secs_f64());
        self.left > 0.0
    }

    /// Notes that a compilation took this time.
    pub fn spend(&mut self, time: Duration) {
        self.left -= time.as_secs_f64();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    /// Spends single seconds while the budget allows it; returns how many.
    fn exhaust(budget: &mut Budget) -> u32 {
        let mut seconds = 0;
        while budget.allows() {
            budget.spend(Duration::from_secs(1));
            seconds += 1;
        }
        seconds
    }

    // The clock moves only when the test moves it.
    #[tokio::test(start_paused = true)]
    async fn a_burst_is_allowed_and_then_a_tenth_of_the_time() {
        let mut budget = Budget::new();
        assert_eq!(exhaust(&mut budget), 10);
        advance(Duration::from_secs(30)).await;
        assert_eq!(exhaust(&mut budget), 3);
        advance(Duration::from_secs(100_000)).await;
        assert!((10..=11).contains(&exhaust(&mut budget)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_spent_beyond_it_is_missing_later() {
        let mut budget = Budget::new();
        budget.spend(Duration::from_secs(15));
        advance(Duration::from_secs(49)).await;
        assert!(!budget.allows());
        advance(Duration::from_secs(2)).await;
        assert!(budget.allows());
    }
}
