//! Calls that succeed and do nothing (decision 14). Their effect would cost others something, or
//! would tell something about others. A program gets what it expects of them all the same, because
//! a run is alone with its files, and the files die with the run.
//!
//! The allow-list has none of them except `msync`, so they are denied where this filter is missing.

use super::LayerError;
use super::compile::{Rules, all, any_argument_of, one_of, signed, when};
use seccompiler::{SeccompCmpOp as Is, SeccompRule};

/// Record locks. For each file the kernel keeps them in a list. At every close of the file it walks
/// the list with a spinlock held, also for a dead process, when no limit counts. Runs of all
/// workers share the libraries' files.
const LOCKS: &[i32] = &[
    libc::F_SETLK,
    libc::F_SETLKW,
    libc::F_OFD_SETLK,
    libc::F_OFD_SETLKW,
];

/// Sizes of a socket's buffers, which are kernel memory. As no run can change them, each socket has
/// the host's default (net.core.wmem_default). That bounds the memory of all sockets of a run.
const BUFFERS: &[i32] = &[libc::SO_SNDBUF, libc::SO_RCVBUF];

/// What succeeds without an effect.
pub fn rules() -> Result<Rules, LayerError> {
    // While one process flushes a disk, others wait for it. A library's file could be flushed too.
    let mut rules = any_argument_of(&[libc::SYS_fsync, libc::SYS_fdatasync]);
    rules.insert(libc::SYS_msync, waits_for_the_disk()?);
    rules.insert(libc::SYS_fcntl, one_of(1, signed(LOCKS))?);
    // It would take a library's file out of memory for all processes. The next read would then show
    // whether another process has used the file since.
    let evicts = signed(&[libc::POSIX_FADV_DONTNEED]);
    rules.insert(libc::SYS_fadvise64, one_of(3, evicts)?);
    let options: Result<_, _> = signed(BUFFERS).map(of_socket).collect();
    rules.insert(libc::SYS_setsockopt, options?);
    Ok(rules)
}

/// Matches an `msync` that waits for the disk, if its address is the beginning of a page. For any
/// other address the kernel answers EINVAL before it does anything. So the allow-list has the call.
fn waits_for_the_disk() -> Result<Vec<SeccompRule>, LayerError> {
    /// The smallest page of all architectures that this is built for.
    const IN_PAGE: u64 = 0xfff;
    let at_a_page = when(0, Is::MaskedEq(IN_PAGE), 0)?;
    let wait = u64::from(libc::MS_SYNC.cast_unsigned());
    let waits = when(2, Is::MaskedEq(wait), wait)?;
    Ok(vec![all(vec![at_a_page, waits])?])
}

/// Matches an option of the socket itself (SOL_SOCKET).
pub fn of_socket(option: u64) -> Result<SeccompRule, LayerError> {
    let socket = when(1, Is::Eq, libc::SOL_SOCKET as u64)?;
    all(vec![socket, when(2, Is::Eq, option)?])
}
