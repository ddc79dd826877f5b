//! The wall-clock limit, kept by the kernel: a timer that kills, which the code cannot reach.

use super::LayerError;
use nix::sys::signal::{SigEvent, SigevNotify, Signal};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use std::time::Duration;

const LAYER: &str = "kill timer";

/// Arms it for `realtime_ms` from now; 0 means no limit. `timer_create(2)`: a timer is not
/// inherited over fork, and the last seccomp filter denies the calls that could change it.
pub fn arm(realtime_ms: u64) -> Result<(), LayerError> {
    if realtime_ms == 0 {
        return Ok(());
    }
    let kill = SigEvent::new(SigevNotify::SigevSignal {
        signal: Signal::SIGKILL,
        si_value: 0,
    });
    let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, kill)
        .map_err(LayerError::at(LAYER, "timer_create"))?;
    let after = TimeSpec::from(Duration::from_millis(realtime_ms));
    timer
        .set(Expiration::OneShot(after), TimerSetTimeFlags::empty())
        .map_err(LayerError::at(LAYER, "timer_settime"))?;
    // Dropping it would delete it.
    std::mem::forget(timer);
    Ok(())
}
