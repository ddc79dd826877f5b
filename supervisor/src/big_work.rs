//! Work that grows with the size of a request. Long work leaves the threads that all tasks share.

use std::sync::LazyLock;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;
use tokio::task::block_in_place;

/// Work on at least this many bytes is long: scanning, merging and quoting take about a millisecond
/// for them.
pub const BYTES_MIN: usize = 256 * 1024;

/// The kind of work. Each lane has its own turns, so a run that has a permit does not wait for its
/// answer behind requests that have none.
#[derive(Debug, Clone, Copy)]
pub enum Lane {
    /// From the body to the job.
    Request,
    /// From the outcome to the answer.
    Answer,
}

/// How much work of each lane is done at a time: half of the cores stay free for everything else.
/// This also bounds the memory for intermediate results.
static TURNS: LazyLock<[Semaphore; 2]> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    [(); 2].map(|()| Semaphore::new((cores / 2).max(1)))
});

/// Does work on so many bytes. Before long work the other tasks of this thread move to another
/// thread, and at most half of the cores do such work of each lane.
pub async fn run<T>(lane: Lane, bytes: usize, work: impl FnOnce() -> T) -> T {
    if bytes < BYTES_MIN {
        return work();
    }
    // It is never closed.
    let _turn = TURNS[lane as usize].acquire().await;
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => work(),
        _ => block_in_place(work),
    }
}
