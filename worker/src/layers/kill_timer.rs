//! The wall-clock limit, kept by the kernel: a timer that kills, which the code cannot reach.

use super::LayerError;
use nix::sys::signal::{SigEvent, SigevNotify, Signal};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use std::mem::ManuallyDrop;
use std::time::Duration;

const LAYER: &str = "kill timer";

/// A timer that does not run yet. It is made before there is a job: a timer counts as a signal that
/// is pending for its user (RLIMIT_SIGPENDING), of which a run of the same user may have taken all
/// that it can when the job comes.
#[derive(Debug)]
pub struct KillTimer(
    /// Dropping it would delete it.
    ManuallyDrop<Timer>,
);

impl KillTimer {
    /// Makes it for the calling process. `timer_create(2)`: a timer is not inherited over fork, and
    /// the last seccomp filter denies the calls that could change it.
    pub fn make() -> Result<Self, LayerError> {
        let kill = SigEvent::new(SigevNotify::SigevSignal {
            signal: Signal::SIGKILL,
            si_value: 0,
        });
        let timer = Timer::new(ClockId::CLOCK_MONOTONIC, kill);
        let timer = timer.map_err(LayerError::at(LAYER, "timer_create"))?;
        Ok(Self(ManuallyDrop::new(timer)))
    }

    /// Lets it run for `realtime_ms` from now; 0 means no limit.
    pub fn start(&mut self, realtime_ms: u64) -> Result<(), LayerError> {
        if realtime_ms == 0 {
            return Ok(());
        }
        let after = TimeSpec::from(Duration::from_millis(realtime_ms));
        self.0
            .set(Expiration::OneShot(after), TimerSetTimeFlags::empty())
            .map_err(LayerError::at(LAYER, "timer_settime"))
    }
}
