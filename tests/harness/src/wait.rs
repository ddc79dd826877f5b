//! Waiting for a state, with a deadline. Tests never sleep instead.

use anyhow::{Result, bail};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The most that the start of a service may take. It takes 0.3 s on an idle machine, 1 s with
/// numpy.
pub const START_MAX: Duration = Duration::from_secs(120);
/// The most that the end of a service or a process may take. It takes 50 ms if nothing executes.
pub const END_MAX: Duration = Duration::from_secs(30);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks again and again until `look` finds something.
///
/// # Errors
/// `look` finds nothing within `longest`, or fails.
pub fn try_wait_for<T>(
    what: &str,
    longest: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + longest;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("{what}: not within {longest:?}");
        }
        sleep(PAUSE);
    }
}

/// Looks again and again until `look` finds something. Panics if it finds nothing within `longest`.
pub fn wait_for<T>(what: &str, longest: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    try_wait_for(what, longest, || Ok(look())).unwrap_or_else(|error| panic!("{error}"))
}

/// Looks again and again until `is_so`. Panics if that takes longer than `longest`.
pub fn wait_until(what: &str, longest: Duration, mut is_so: impl FnMut() -> bool) {
    wait_for(what, longest, || is_so().then_some(()));
}
