//! How the C library gives memory to the supervisor.
//!
//! This is a crate of its own because the supervisor forbids unsafe code, and mallopt(3) needs it.

use libc::{M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, c_int, mallopt};

/// Blocks of at least this size are mappings of their own, and go back to the kernel when they are
/// freed. Smaller bodies and answers come from the heap.
const MAPPED_BYTES_MIN: c_int = 256 * 1024;
/// Free bytes at the end of a heap that are kept for the next request.
const KEPT_BYTES_MAX: c_int = 1024 * 1024;

/// Keeps large blocks out of the heaps. Left alone, glibc raises the threshold to 32 MiB with the
/// first large block that is freed. Bodies and answers, which grow while they are read, then leave
/// holes in the heap of every thread: 450 MiB for 120 MiB of bodies (2026-11-28).
pub fn map_large_blocks() {
    let settings = [
        (M_MMAP_THRESHOLD, MAPPED_BYTES_MIN),
        (M_TRIM_THRESHOLD, KEPT_BYTES_MAX),
    ];
    for (setting, value) in settings {
        // SAFETY: it takes two numbers; one that it does not know it refuses, and then all is as it
        // was.
        let _ = unsafe { mallopt(setting, value) };
    }
}
