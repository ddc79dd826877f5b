//! A sandbox's descriptors: its three standard streams and the status pipe, nothing else.

use super::LayerError;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

const LAYER: &str = "descriptors";

/// Where the status pipe stays: the last descriptor that fits a process's first table
/// (`NR_OPEN_DEFAULT`, 64), so that code which opens files starts at 3 as it always did and no
/// larger table is allocated.
pub const STATUS: RawFd = 63;

/// Puts standard input, output, error and status pipe in their places.
///
/// # Errors
/// What `dup2(2)` says; also if not exactly four were given.
pub fn place(given: Vec<OwnedFd>) -> Result<OwnedFd, LayerError> {
    let [input, output, error, status]: [OwnedFd; 4] = given
        .try_into()
        .map_err(|_| LayerError::at(LAYER, "count")("four descriptors belong to a sandbox"))?;
    // None of the given numbers is below 3, but one may be the status pipe's: that goes last, over
    // a copy, when the others are in place.
    let copy = status.try_clone().map_err(LayerError::at(LAYER, "dup"))?;
    for (from, to) in [(&input, 0), (&output, 1), (&error, 2), (&copy, STATUS)] {
        duplicate(from, to)?;
    }
    // Whatever of the given ones has the number 63 is the status pipe now.
    for given in [input, output, error, status, copy] {
        std::mem::forget(given);
    }
    // SAFETY: dup2 has just put the status pipe there, and nothing else owns that number.
    Ok(unsafe { OwnedFd::from_raw_fd(STATUS) })
}

/// Closes every descriptor but the standard streams, the status pipe and `kept` (a ruleset of
/// Landlock, the library's file), whose owners close them when the job is in place. Other owners of
/// descriptors in the memory that this child has from its worker are never dropped: the child ends
/// by `_exit`.
pub fn close_others(kept: &[RawFd]) -> Result<(), LayerError> {
    let mut kept = [&[0, 1, 2, STATUS], kept].concat();
    kept.sort_unstable();
    let mut next = 0;
    for fd in kept {
        if next < fd {
            close_range(next, fd - 1)?;
        }
        next = fd + 1;
    }
    close_range(next, RawFd::MAX)
}

fn duplicate(from: &OwnedFd, to: RawFd) -> Result<(), LayerError> {
    // SAFETY: both are plain numbers to the kernel; what `to` held before is meant to be closed.
    let result = unsafe { libc::dup2(from.as_raw_fd(), to) };
    Errno::result(result)
        .map(drop)
        .map_err(LayerError::at(LAYER, "dup2"))
}

fn close_range(first: RawFd, last: RawFd) -> Result<(), LayerError> {
    // SAFETY: a sandbox is about to use none of the descriptors that it inherited.
    let result = unsafe { libc::close_range(first.cast_unsigned(), last.cast_unsigned(), 0) };
    Errno::result(result)
        .map(drop)
        .map_err(LayerError::at(LAYER, "close_range"))
}

/// Standard input, from which the job comes and which is at its end when the code runs.
#[must_use]
pub fn job_input() -> BorrowedFd<'static> {
    // SAFETY: `place` has put the job pipe at descriptor 0, `close_others` keeps it open, and only
    // the author's code may close it, which runs when this is no longer used.
    unsafe { BorrowedFd::borrow_raw(0) }
}
