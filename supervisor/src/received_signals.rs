//! Which signals this service was sent, and when. A service manager may send its signal to every
//! process of the service (systemd's `KillMode=control-group`). Such a signal ends runs too, and no
//! author is to blame for that.

use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// How far apart the processes of a service may get the same signal. They get it one after the
/// other, on a host that may be busy.
const SPREAD: Duration = Duration::from_secs(1);
/// If one of [`MANAGERS`] ended a run, the service may get the signal a little later than the run.
/// The answer waits this long to find that out. If a run sends itself such a signal, its answer is
/// late by this time.
const WORD_MAX: Duration = Duration::from_millis(100);

/// Signals that people and programs send to a whole service to end or control it.
const MANAGERS: [Signal; 6] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGTERM,
];

/// When each signal came last. There is at most one entry for each signal.
#[derive(Debug, Default)]
pub struct ReceivedSignals(watch::Sender<BTreeMap<i32, Instant>>);

impl ReceivedSignals {
    /// Notes a signal that has just come.
    pub fn note(&self, signal: i32) {
        self.0.send_modify(|received| {
            received.insert(signal, Instant::now());
        });
    }

    /// Whether a signal that the whole service was sent has ended this run. The run took `elapsed`,
    /// and has just ended with this status.
    pub async fn have_ended(&self, status: i32, elapsed: Duration) -> bool {
        let signal = -status;
        if !MANAGERS.iter().any(|manager| *manager as i32 == signal) {
            return false;
        }
        let began = Instant::now() - elapsed;
        let mut received = self.0.subscribe();
        let came = received.wait_for(|received| {
            let last = received.get(&signal);
            last.is_some_and(|last| *last + SPREAD >= began)
        });
        matches!(timeout(WORD_MAX, came).await, Ok(Ok(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{advance, sleep};

    const TERM: i32 = Signal::SIGTERM as i32;

    // The clock stands still unless everybody waits: then it goes on to the next deadline at once.
    #[tokio::test(start_paused = true)]
    async fn a_run_is_ended_by_the_signal_that_the_service_got_while_it_ran() {
        let signals = ReceivedSignals::default();
        let run = Duration::from_secs(20);
        assert!(!signals.have_ended(-TERM, run).await, "none came");
        signals.note(TERM);
        advance(Duration::from_secs(10)).await;
        assert!(signals.have_ended(-TERM, run).await);
        assert!(!signals.have_ended(-TERM, run / 4).await, "it came before");
        assert!(!signals.have_ended(-1, run).await, "another one came");
        for status in [0, 1, TERM, -9, -24] {
            assert!(!signals.have_ended(status, run).await, "{status}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_service_may_get_it_a_little_later_than_the_run() {
        let signals = ReceivedSignals::default();
        let later = async {
            sleep(WORD_MAX / 2).await;
            signals.note(TERM);
        };
        let (ended, ()) = tokio::join!(signals.have_ended(-TERM, SPREAD), later);
        assert!(ended);
    }
}
