//! The threads on which the pipes of old runs are read, apart from the threads that answer HTTP.
//!
//! A sandbox can make reads of its pipes expensive. Before a read returns, the kernel calls all
//! watchers of the pipe's other end, with interrupts off, and a run can hang thousands of epoll
//! watches on its own standard output: 15,600 with 256 descriptors (`descriptors_max`). It takes a
//! run some 1.3 microseconds to make a watch, and a read 0.1 to call it. So the age of a run bounds
//! the cost of a read. The pipes of young runs stay on the threads of their requests: a change of
//! threads would make a small execution 5 % slower.

use std::io;
use std::thread::available_parallelism;
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// After this time a run is old. A younger run can't have made watches that cost a read more than 2
/// ms, and a small execution is over by then.
pub const YOUNG_MAX: Duration = Duration::from_millis(20);

/// The threads.
pub struct OldRuns(Runtime);

impl OldRuns {
    /// Starts them: half as many as there are cores, so that HTTP finds a free one beside them.
    ///
    /// # Errors
    /// The system gives no thread or no epoll instance.
    pub fn start() -> io::Result<Self> {
        let threads = available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1));
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("old-runs")
            .enable_all()
            .build()?;
        Ok(Self(runtime))
    }

    /// The handle by which tasks get to these threads.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.0.handle().clone()
    }

    /// Drops all tasks, and waits at most so long for threads that are busy.
    pub fn end(self, longest: Duration) {
        self.0.shutdown_timeout(longest);
    }
}

/// A task on other threads. It is dropped together with this value.
#[derive(Debug)]
pub struct Away<T>(JoinHandle<T>);

impl<T: Send + 'static> Away<T> {
    /// Starts it.
    pub fn spawn(threads: &Handle, task: impl Future<Output = T> + Send + 'static) -> Self {
        Self(threads.spawn(task))
    }

    /// Waits for the result; none if the threads end first, as they do at the end of the service.
    pub async fn end(mut self) -> Option<T> {
        (&mut self.0).await.ok()
    }
}

impl<T> Drop for Away<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
