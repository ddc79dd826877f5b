//! The warm heap's holes, and why no child gets them.
//!
//! CPython's allocator (Objects/obmalloc.c) keeps blocks of one size in pools of 16 KiB, and hands
//! out what is free in pools that are in use before it takes a new one. After warm-up such blocks
//! lie all over the image, a few in each pool: each costs a child that gets it a page fault and the
//! copy of a page, where the blocks of a new pool share theirs. So the worker takes them all,
//! before the first fork, and gives none back.

use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::c_void;

/// Bytes between two sizes, and of the largest, that the allocator keeps in pools.
const STEP: usize = 16;
const LARGEST: usize = 512;

/// Bytes that follow each other without a gap only in a pool that nothing else is in: most of one.
const NEW_POOL: usize = 12 << 10;

/// Bytes of one size that are taken at most. Some 200 kB were seen; where an allocator never gives
/// block after block (`PYTHONMALLOC=malloc`), this is the end.
const TAKEN_MAX: usize = 1 << 20;

/// Takes what is free in the pools that are in use, of each size.
pub fn fill_holes(_holding_the_gil: Python<'_>) {
    for size in (STEP..=LARGEST).step_by(STEP) {
        for block in blocks_of_a_new_pool(size) {
            // SAFETY: PyObject_Malloc gave it, nobody else has it, and it is freed once; the GIL is
            // held.
            unsafe { ffi::PyObject_Free(block) };
        }
    }
}

/// Lets glibc join the small blocks that were freed all over its heap (`fastbins`,
/// malloc/malloc.c). Otherwise the first larger block that a child asks for makes the child join
/// them, 48 pages of them with everything preloaded.
pub fn join_freed_blocks() {
    /// Larger than any small block, smaller than what is mapped by itself.
    const LARGER: usize = 64 << 10;
    // SAFETY: malloc(3) and free(3) in a pair; null may be freed.
    unsafe { libc::free(std::hint::black_box(libc::malloc(LARGER))) };
}

/// Allocates until a whole new pool is filled: its blocks.
fn blocks_of_a_new_pool(size: usize) -> Vec<*mut c_void> {
    let mut run: Vec<*mut c_void> = Vec::with_capacity(NEW_POOL / size + 1);
    for _ in 0..TAKEN_MAX / size {
        // SAFETY: the caller holds the GIL, and an allocation asks for nothing else.
        let block = unsafe { ffi::PyObject_Malloc(size) };
        if block.is_null() {
            break;
        }
        if run
            .last()
            .is_some_and(|last| last.addr() + size != block.addr())
        {
            run.clear();
        }
        run.push(block);
        if run.len() * size >= NEW_POOL {
            break;
        }
    }
    run
}
