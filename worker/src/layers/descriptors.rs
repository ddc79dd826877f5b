//! A sandbox's descriptors: three standard streams and the status pipe, no others.

use super::LayerError;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

const LAYER: &str = "descriptors";

/// The number of the status pipe: the last one that fits into a process's first table
/// (`NR_OPEN_DEFAULT`, 64). So files that the code opens have the usual numbers from 3 on, and the
/// kernel allocates no larger table.
pub const STATUS: RawFd = 63;

/// Puts standard input, output, error and status pipe in their places.
///
/// # Errors
/// What `dup2(2)` says; also if the number of descriptors is not four.
pub fn place(given: Vec<OwnedFd>) -> Result<OwnedFd, LayerError> {
    let [input, output, error, status]: [OwnedFd; 4] = given
        .try_into()
        .map_err(|_| LayerError::at(LAYER, "count")("four descriptors belong to a sandbox"))?;
    // No given descriptor is below 3, but one may have the number of the status pipe. So the status
    // pipe is put there last, from a copy, when the others are in place.
    let copy = status.try_clone().map_err(LayerError::at(LAYER, "dup"))?;
    for (from, to) in [(&input, 0), (&output, 1), (&error, 2), (&copy, STATUS)] {
        duplicate(from, to)?;
    }
    // A given descriptor with the number 63 has been replaced by the status pipe.
    for given in [input, output, error, status, copy] {
        std::mem::forget(given);
    }
    // SAFETY: dup2 has just put the status pipe there, and nothing else owns that number.
    Ok(unsafe { OwnedFd::from_raw_fd(STATUS) })
}

/// Closes every descriptor except the standard streams, the status pipe and `kept` (a ruleset of
/// Landlock, the library's file). The values that own `kept` close them when the job is in place.
/// This child's copy of its worker's memory has other values that own descriptors, which are closed
/// here. These values are never dropped: the child ends by `_exit`.
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
    // SAFETY: to the kernel, both are plain numbers. If `to` is open, dup2 closes it, and that is
    // what `place` wants.
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

/// Standard input. The job comes from it, and it is at end of file when the code runs.
#[must_use]
pub fn job_input() -> BorrowedFd<'static> {
    // SAFETY: `place` has put the job pipe at descriptor 0, and `close_others` keeps it open. Only
    // the author's code may close it, and this is no longer used when that code runs.
    unsafe { BorrowedFd::borrow_raw(0) }
}
