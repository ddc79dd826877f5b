//! Lines about requests that were refused. Refusing costs next to nothing, and one client can have
//! thousands of requests refused in a second: of each kind so many get a line of their own, and the
//! rest is counted.

use super::caller::Caller;
use crate::metrics::labels::STATUSES;
use metrics::counter;
use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// Lines of one kind in one second: enough to see who it is, and that it goes on.
const LINES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(1);

/// Which of the log's levels a refusal has.
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
    /// Whether one more gets a line; then how many before it got none.
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

/// As many as there are statuses.
static WINDOWS: Mutex<[Window; STATUSES.len()]> = Mutex::new(
    [Window {
        since: None,
        lines: 0,
        unsaid: 0,
    }; STATUSES.len()],
);

/// Says that a request was refused, or counts it.
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
