//! Rules on the arguments of calls that open, make and change files. A rule allows; a call that no
//! rule matches is denied. This file installs no filter.

use super::LayerError;
use super::compile::{Rules, all, masked, submasks, when};
use seccompiler::{SeccompCmpOp as Is, SeccompRule};

/// Bits of a mode that let a program run as its file's owner or group. A run may not set them by
/// any call. If such a file outlived its run, others could run it as the sandbox's user.
const SET_ID: u64 = (libc::S_ISUID | libc::S_ISGID) as u64;

/// Reads with this flag always ask the disk. A run could use up the disk's speed for next to no
/// processor time.
const DIRECT: u64 = libc::O_DIRECT as u64;

/// With `RWF_HIPRI` the run's own processor waits. `RWF_NOWAIT` is missing: it tells whether a
/// library's file is in memory, and so what others import. `RWF_DONTCACHE` is missing: it takes the
/// file out of memory for everybody.
const READ_FLAGS: i32 = libc::RWF_HIPRI;

/// `RWF_SYNC` and `RWF_DSYNC` are missing, since others would wait for the disk. `RWF_ATOMIC` and
/// `RWF_DONTCACHE` are missing too.
const WRITE_FLAGS: i32 = READ_FLAGS | libc::RWF_NOWAIT | libc::RWF_APPEND | libc::RWF_NOAPPEND;

/// Adds rules for reading and writing at a position, and for making directories and nodes.
pub fn make_and_read(rules: &mut Rules) -> Result<(), LayerError> {
    let flags = |allowed: i32| masked(5, u64::from(!allowed.cast_unsigned()), [0]);
    rules.insert(libc::SYS_preadv2, flags(READ_FLAGS)?);
    rules.insert(libc::SYS_pwritev2, flags(WRITE_FLAGS)?);
    rules.insert(libc::SYS_mkdirat, no_set_id(2)?);
    // Plain files and sockets may be made. No named pipes: a run can open one many times and watch
    // each opening (epoll). A write then looks at all watches at once, with interrupts off: 512,000
    // with 256 descriptors, in 160 ms. Without named pipes there are 15,000. No devices: Landlock
    // denies devices too, except, on some kernels (Debian's 6.12.117), the device 0:0. That device
    // leads nowhere and takes no privilege.
    let kinds = [0, libc::S_IFREG, libc::S_IFSOCK];
    let kind_and_bits = u64::from(libc::S_IFMT) | SET_ID;
    rules.insert(libc::SYS_mknodat, masked(2, kind_and_bits, kinds)?);
    #[cfg(target_arch = "x86_64")]
    {
        rules.insert(libc::SYS_mkdir, no_set_id(1)?);
        rules.insert(libc::SYS_mknod, masked(1, kind_and_bits, kinds)?);
    }
    Ok(())
}

/// Adds rules for calls that change a file's mode.
pub fn change_modes(rules: &mut Rules) -> Result<(), LayerError> {
    rules.insert(libc::SYS_fchmod, no_set_id(1)?);
    rules.insert(libc::SYS_fchmodat, no_set_id(2)?);
    rules.insert(libc::SYS_fchmodat2, no_set_id(2)?);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_chmod, no_set_id(1)?);
    Ok(())
}

/// Adds rules for calls that open files, and for calls that can empty one.
pub fn open_and_truncate(rules: &mut Rules, landlock_truncates: bool) -> Result<(), LayerError> {
    rules.insert(libc::SYS_openat, may_open(2, 3)?);
    #[cfg(target_arch = "x86_64")]
    {
        rules.insert(libc::SYS_open, may_open(1, 2)?);
        rules.insert(libc::SYS_creat, no_set_id(1)?);
    }
    if landlock_truncates {
        rules.insert(libc::SYS_truncate, vec![]);
    }
    Ok(())
}

fn no_set_id(mode: u8) -> Result<Vec<SeccompRule>, LayerError> {
    masked(mode, SET_ID, [0])
}

/// Matches a change of an open file's flags that does not set `DIRECT`.
pub fn may_set_flags() -> Result<SeccompRule, LayerError> {
    let sets = when(1, Is::Eq, libc::F_SETFL as u64)?;
    all(vec![sets, when(2, Is::MaskedEq(DIRECT), 0)?])
}

/// Matches every opening except three kinds: one with `DIRECT`, which bypasses the page cache; one
/// that only reads and yet empties the file (Landlock before ABI 3 lets that pass); and one that
/// makes a file with one of the `SET_ID` bits. The mode has no meaning unless a file is made.
fn may_open(flags: u8, mode: u8) -> Result<Vec<SeccompRule>, LayerError> {
    const EMPTIED: u64 = (libc::O_TRUNC | libc::O_ACCMODE) as u64;
    // O_TMPFILE contains the bit of O_DIRECTORY.
    const MADE: u64 = (libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY)) as u64;
    let allowed: Vec<u64> = submasks(EMPTIED)
        .filter(|bits| *bits != libc::O_TRUNC as u64)
        .collect();
    const MAKES: u64 = EMPTIED | MADE | DIRECT;
    let makes_nothing = |bits| all(vec![when(flags, Is::MaskedEq(MAKES), bits)?]);
    let makes_a_file = |bits| {
        let flags = when(flags, Is::MaskedEq(EMPTIED | DIRECT), bits)?;
        all(vec![flags, when(mode, Is::MaskedEq(SET_ID), 0)?])
    };
    let rules = allowed.iter().copied().map(makes_nothing);
    rules
        .chain(allowed.iter().copied().map(makes_a_file))
        .collect()
}
