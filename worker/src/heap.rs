//! The free blocks in the warm heap, and why no child gets them.
//!
//! CPython's allocator (Objects/obmalloc.c) keeps blocks of one size in pools of 16 KiB. It gives
//! out free blocks of used pools before it takes a new pool. After warm-up such blocks lie all over
//! the image, a few in each pool. A child that got one of them would have a page fault and a copied
//! page for each. Blocks of a new pool share their pages. So the worker takes all free blocks of
//! used pools, before the first fork, and gives none back.

use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::c_void;

/// Step from one size of blocks to the next in bytes, and the largest size that the allocator keeps
/// in pools.
const STEP: usize = 16;
const LARGEST: usize = 512;

/// If the blocks that the allocator gives follow each other without a gap for so many bytes, they
/// lie in a new pool: this is most of a pool.
const NEW_POOL: usize = 12 << 10;

/// Most bytes that are taken of one size. Some 200 kB were seen. With an allocator that never gives
/// blocks in a row (`PYTHONMALLOC=malloc`) the search ends here.
const TAKEN_MAX: usize = 1 << 20;

/// Takes the free blocks of used pools, of each size.
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
/// malloc/malloc.c). Otherwise each child would join them when it first asks for a larger block.
/// With everything preloaded that touches 48 pages.
pub fn join_freed_blocks() {
    /// Larger than any small block, and smaller than a block with a mapping of its own.
    const LARGER: usize = 64 << 10;
    // SAFETY: malloc(3) and free(3) in a pair; null may be freed.
    unsafe { libc::free(std::hint::black_box(libc::malloc(LARGER))) };
}

/// Allocates blocks until a whole new pool is filled. Returns the blocks of that pool.
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
