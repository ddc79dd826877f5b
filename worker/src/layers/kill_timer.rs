//! The wall-clock limit, kept by the kernel: a timer that kills the process, out of the code's
//! reach.

use super::LayerError;
use nix::sys::signal::{SigEvent, SigevNotify, Signal};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use std::mem::ManuallyDrop;
use std::time::Duration;

const LAYER: &str = "kill timer";

/// A timer that does not run yet. It is made before there is a job, because a timer counts as a
/// pending signal of its user (RLIMIT_SIGPENDING). When the job comes, another run of the same user
/// may have used up all of them.
#[derive(Debug)]
pub struct KillTimer(
    /// Dropping it would delete the timer.
    ManuallyDrop<Timer>,
);

impl KillTimer {
    /// Makes it for the calling process, timer_create(2). A fork does not inherit timers, and the
    /// last seccomp filter denies the calls that could change it.
    pub fn make() -> Result<Self, LayerError> {
        let kill = SigEvent::new(SigevNotify::SigevSignal {
            signal: Signal::SIGKILL,
            si_value: 0,
        });
        let timer = Timer::new(ClockId::CLOCK_MONOTONIC, kill);
        let timer = timer.map_err(LayerError::at(LAYER, "timer_create"))?;
        Ok(Self(ManuallyDrop::new(timer)))
    }

    /// Starts it: it kills `realtime_ms` from now; 0 means no limit.
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
