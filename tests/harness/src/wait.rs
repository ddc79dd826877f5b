//! Waiting for a state, with a deadline. Tests never sleep instead.

use anyhow::{Result, bail};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The longest start of a service: 0.3 s on an idle machine, 1 s with numpy.
pub const START_MAX: Duration = Duration::from_secs(120);
/// The longest end of a service or a process: 50 ms, unless something runs.
pub const END_MAX: Duration = Duration::from_secs(30);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks again and again until there is something to see.
///
/// # Errors
/// There is nothing within `longest`, or a look failed.
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

/// Looks again and again until there is something to see. Panics if there is nothing within
/// `longest`.
pub fn wait_for<T>(what: &str, longest: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    try_wait_for(what, longest, || Ok(look())).unwrap_or_else(|error| panic!("{error}"))
}

/// Looks again and again until it is so. Panics if it is not within `longest`.
pub fn wait_until(what: &str, longest: Duration, mut is_so: impl FnMut() -> bool) {
    wait_for(what, longest, || is_so().then_some(()));
}
