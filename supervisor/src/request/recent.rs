//! The last executions, as the page shows them.

use super::finished::{Over, kept};
use crate::metrics::labels::Limit;
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};

/// The last executions.
#[derive(Debug)]
pub struct Recent {
    /// One object each, the newest first.
    pub executions: Vec<Value>,
    /// How long they took.
    pub latency: Value,
}

/// The last executions at this moment.
#[must_use]
pub fn recent() -> Recent {
    let kept = kept();
    let taken = kept.iter().filter_map(|over| over.finished.taken.as_ref());
    let mut waited: Vec<Duration> = taken.map(|taken| taken.waited).collect();
    let mut total: Vec<Duration> = kept.iter().map(|over| over.finished.total).collect();
    let latency = json!({
        "executions": kept.len(),
        "p50_seconds": quantile(&mut total, 50),
        "p95_seconds": quantile(&mut total, 95),
        "max_seconds": quantile(&mut total, 100),
        "queue_p95_seconds": quantile(&mut waited, 95),
    });
    let executions = kept.iter().map(|over| shown(over)).collect();
    Recent {
        executions,
        latency,
    }
}

/// The nearest rank, in seconds: the smallest of the durations such that at least `percent` percent
/// of them are not longer. `None` if there are no durations.
fn quantile(durations: &mut [Duration], percent: usize) -> Option<f64> {
    durations.sort_unstable();
    let place = (durations.len() * percent).div_ceil(100).checked_sub(1)?;
    durations.get(place).map(Duration::as_secs_f64)
}

fn shown(over: &Over) -> Value {
    let (finished, verdict) = (&over.finished, &over.verdict);
    let (asked, taken) = (&finished.asked, finished.taken.as_ref());
    let at = over.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    json!({
        "at": at.as_secs_f64(),
        "slug": asked.slug,
        "context": asked.context,
        "status": finished.status,
        "end": verdict.end.name(),
        "limit": verdict.limit.map(Limit::name),
        "why": finished.words(verdict),
        "queue_seconds": taken.map(|taken| taken.waited.as_secs_f64()),
        "total_seconds": finished.total.as_secs_f64(),
        "cpu_seconds": verdict.cpu.map(|cpu| cpu.as_secs_f64()),
        "memory_bytes": verdict.memory_bytes,
        "worker": taken.map(|taken| taken.worker),
        "cold_imports": finished.cold_imports,
        "request_id": finished.caller.request_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_nearest_rank() {
        let seconds = |numbers: &[u64]| -> Vec<Duration> {
            numbers.iter().map(|n| Duration::from_secs(*n)).collect()
        };
        assert_eq!(quantile(&mut [], 50), None);
        assert_eq!(quantile(&mut seconds(&[7]), 95), Some(7.0));
        assert_eq!(quantile(&mut seconds(&[3, 1, 2]), 50), Some(2.0));
        let mut hundred = seconds(&(1..=100).rev().collect::<Vec<_>>());
        assert_eq!(quantile(&mut hundred, 95), Some(95.0));
        assert_eq!(quantile(&mut hundred, 100), Some(100.0));
    }
}
