//! Lines about requests that were refused. A refusal costs very little, so one client can cause
//! thousands in a second. In each second the first refusals of each kind get a line of their own;
//! the others are only counted.

use super::caller::Caller;
use crate::metrics::labels::STATUSES;
use metrics::counter;
use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// Lines of one kind in one second: enough to see which client it is, and that the refusals go on.
const LINES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(1);

/// The level of a refusal in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalLevel {
    /// The original logs it as an error.
    Error,
    /// An operator may want to know.
    Warning,
}

/// The lines of one kind in its last second.
#[derive(Debug, Default, Clone, Copy)]
struct Window {
    since: Option<Instant>,
    lines: u32,
    unsaid: u64,
}

impl Window {
    /// Decides whether the next refusal gets a line. If it does, returns how many refusals since
    /// the last line got no line.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if self
            .since
            .is_none_or(|since| now.duration_since(since) >= WINDOW)
        {
            (self.since, self.lines) = (Some(now), 0);
        }
        if self.lines >= LINES_MAX {
            self.unsaid += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.unsaid))
    }
}

/// One window for each status.
static WINDOWS: Mutex<[Window; STATUSES.len()]> = Mutex::new(
    [Window {
        since: None,
        lines: 0,
        unsaid: 0,
    }; STATUSES.len()],
);

/// Logs a refusal, or only counts it.
pub fn say(status: &'static str, level: RefusalLevel, why: &str, caller: &Caller) {
    let place = STATUSES.iter().position(|known| *known == status);
    let admitted = WINDOWS.lock()[place.unwrap_or(0)].admit(Instant::now());
    let Some(unsaid) = admitted else {
        counter!("codejail_log_refusals_unsaid_total").increment(1);
        return;
    };
    let unsaid = Some(unsaid).filter(|unsaid| *unsaid > 0);
    let client = caller.client.as_deref();
    let request_id = caller.request_id.as_str();
    let traceparent = caller.traceparent.as_deref();
    match level {
        RefusalLevel::Error => tracing::error!(
            target: "codejail::exec",
            { event = "request_refused", codejail.exec.status = status, client, request_id, traceparent, unsaid },
            "{why}"
        ),
        RefusalLevel::Warning => tracing::warn!(
            target: "codejail::exec",
            { event = "request_refused", codejail.exec.status = status, client, request_id, traceparent, unsaid },
            "{why}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_each_second_has_few_lines_and_the_next_one_tells_how_many_had_none() {
        let (mut window, start) = (Window::default(), Instant::now());
        let said = (0..1000).filter(|_| window.admit(start).is_some()).count();
        assert_eq!(said, LINES_MAX as usize);
        assert_eq!(
            window.admit(start + WINDOW),
            Some(1000 - u64::from(LINES_MAX))
        );
        assert_eq!(window.admit(start + WINDOW), Some(0));
    }
}
