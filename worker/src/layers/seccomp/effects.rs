//! Calls that succeed and do nothing (decision 14): what they would do costs others or tells of
//! them, and what a program expects of them it gets, because a run is alone with its files and
//! these die with it.
//!
//! But for `msync` the allow-list does not have them, so they are denied where this filter is
//! missing.

use super::LayerError;
use super::compile::{Rules, all, any_argument_of, one_of, signed, when};
use seccompiler::{SeccompCmpOp as Is, SeccompRule};

/// Record locks. The kernel keeps them in a list for each file, which whoever closes the file walks
/// with a spinlock held: also a process that is dead already, in nobody's account. Runs of all
/// workers share the libraries' files.
const LOCKS: &[i32] = &[
    libc::F_SETLK,
    libc::F_SETLKW,
    libc::F_OFD_SETLK,
    libc::F_OFD_SETLKW,
];

/// Sizes of a socket's buffers, which are the kernel's memory: without them a socket has the
/// host's default (net.core.wmem_default), which bounds what all of a run's sockets can hold.
const BUFFERS: &[i32] = &[libc::SO_SNDBUF, libc::SO_RCVBUF];

/// What succeeds without an effect.
pub fn rules() -> Result<Rules, LayerError> {
    // Whoever flushes a disk has others wait for it, and a library's file can be flushed too.
    let mut rules = any_argument_of(&[libc::SYS_fsync, libc::SYS_fdatasync]);
    rules.insert(libc::SYS_msync, waits_for_the_disk()?);
    rules.insert(libc::SYS_fcntl, one_of(1, signed(LOCKS))?);
    // It would take a library's file out of memory for everybody, and the next read would tell
    // whether somebody has used the file since.
    let evicts = signed(&[libc::POSIX_FADV_DONTNEED]);
    rules.insert(libc::SYS_fadvise64, one_of(3, evicts)?);
    let options: Result<_, _> = signed(BUFFERS).map(of_socket).collect();
    rules.insert(libc::SYS_setsockopt, options?);
    Ok(rules)
}

/// Matches the `msync` that waits for the disk, of an address where a page can begin. Of any other
/// the kernel says EINVAL before it does anything; so the allow-list has the call.
fn waits_for_the_disk() -> Result<Vec<SeccompRule>, LayerError> {
    /// The smallest page of any architecture that this is built for.
    const IN_PAGE: u64 = 0xfff;
    let at_a_page = when(0, Is::MaskedEq(IN_PAGE), 0)?;
    let wait = u64::from(libc::MS_SYNC.cast_unsigned());
    let waits = when(2, Is::MaskedEq(wait), wait)?;
    Ok(vec![all(vec![at_a_page, waits])?])
}

/// Matches an option at the level of the socket itself.
pub fn of_socket(option: u64) -> Result<SeccompRule, LayerError> {
    let socket = when(1, Is::Eq, libc::SOL_SOCKET as u64)?;
    all(vec![socket, when(2, Is::Eq, option)?])
}
