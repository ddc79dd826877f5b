//! Work that grows with the size of a request. Long work leaves the threads that all tasks share.

use std::sync::LazyLock;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;
use tokio::task::block_in_place;

/// Work on at least this many bytes is long: scanning, merging and quoting take about a millisecond
/// for them.
pub const BYTES_MIN: usize = 256 * 1024;

/// The kind of work. Each lane has its own turns: the work for a request that has a permit does not
/// wait behind requests whose bodies are still being read and checked.
#[derive(Debug, Clone, Copy)]
pub enum Lane {
    /// Work on a request that has no permit yet: its body and its schema.
    Request,
    /// Work on the course library of a request with a permit, on the outcome, and on the answer.
    Answer,
}

/// How many pieces of work each lane does at a time: half as many as there are cores, and at least
/// one. This also bounds the memory for intermediate results.
static TURNS: LazyLock<[Semaphore; 2]> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    [(); 2].map(|()| Semaphore::new((cores / 2).max(1)))
});

/// Does work on so many bytes. Long work first waits for a turn of its lane. Then the other tasks
/// of this thread move to another thread, and the work begins.
pub async fn run<T>(lane: Lane, bytes: usize, work: impl FnOnce() -> T) -> T {
    if bytes < BYTES_MIN {
        return work();
    }
    // The semaphore is never closed, so this can't fail.
    let _turn = TURNS[lane as usize].acquire().await;
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => work(),
        _ => block_in_place(work),
    }
}
