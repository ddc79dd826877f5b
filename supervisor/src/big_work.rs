//! Work that grows with a request: where it is long, it leaves the threads that all tasks share.

use std::sync::LazyLock;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;
use tokio::task::block_in_place;

/// From here on work is long: scanning, merging and quoting take about a millisecond for so many
/// bytes.
pub const BYTES_MIN: usize = 256 * 1024;

/// Whose work it is. Each lane has its own turns: a run that has a permit does not wait for its
/// answer behind requests that have none.
#[derive(Debug, Clone, Copy)]
pub enum Lane {
    /// From the body to the job.
    Request,
    /// From the outcome to the answer.
    Answer,
}

/// How much of each lane's work is done at a time: half of the cores are for everything else. It
/// bounds the memory for what lies between a body and its answer, too.
static TURNS: LazyLock<[Semaphore; 2]> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    [(); 2].map(|()| Semaphore::new((cores / 2).max(1)))
});

/// Does work on so many bytes. Where these are many, the tasks of this thread go to another one
/// first, and at most half of the cores do such work of each lane.
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
