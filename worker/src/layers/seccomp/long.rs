//! Calls that go on until they are done, even after their process was killed. Neither the CPU limit
//! nor the timer ends them, and on a kernel without preemption no other process has the processor
//! meanwhile. Rules bound how much a run may give to one such call. More than that fails as if
//! memory were short. Callers are prepared for that: glibc's `realloc` then copies, and its thread
//! stacks use `mprotect`.
//!
//! Milliseconds for a GiB of addresses with a page in each 2 MiB, on a core of 2026-11-28, Linux
//! 6.18: MADV_GUARD_INSTALL 7, MADV_GUARD_REMOVE 5, `mincore` 2.8, `mremap` by a distance that is
//! not of whole page tables 1.2. `munmap`, `mprotect` and the rest of `madvise` take half a
//! millisecond, as long as the run took to touch the pages. So they have no bound here.

use super::LayerError;
use super::compile::{Rules, all, when, when_whole};
use super::policy::{MADV_GUARD_INSTALL, MADV_GUARD_REMOVE};
use seccompiler::{SeccompCmpOp as Is, SeccompRule};

/// Most bytes of guard pages in one call. glibc makes the guards of thread stacks in this way: a
/// page each, unless a program asks for more.
const GUARDED_MAX: u64 = 16 << 20;
/// Most bytes whose pages one `mincore` reports.
const TOLD_MAX: u64 = 1 << 30;
/// Most bytes that one `mremap` moves.
const MOVED_MAX: u64 = 16 << 30;
/// MAP_HUGETLB takes pages from the host's pool, which no limit of a run counts.
const FROM_THE_POOL: u64 = libc::MAP_HUGETLB as u64;

/// Matches calls that would take too long.
pub fn rules() -> Result<Rules, LayerError> {
    let longer = |argument, bytes| when_whole(argument, Is::Gt, bytes);
    let guards = |advice: i32| -> Result<SeccompRule, LayerError> {
        let advice = when(2, Is::Eq, advice.cast_unsigned().into())?;
        all(vec![advice, longer(1, GUARDED_MAX)?])
    };
    let pool = when(3, Is::MaskedEq(FROM_THE_POOL), FROM_THE_POOL)?;
    Ok(Rules::from([
        (
            libc::SYS_madvise,
            vec![guards(MADV_GUARD_INSTALL)?, guards(MADV_GUARD_REMOVE)?],
        ),
        (libc::SYS_mincore, vec![all(vec![longer(1, TOLD_MAX)?])?]),
        (libc::SYS_mremap, vec![all(vec![longer(1, MOVED_MAX)?])?]),
        (libc::SYS_mmap, vec![all(vec![pool])?]),
    ]))
}
