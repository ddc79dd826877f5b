//! The threads on which sandboxes' pipes are read: apart from those that answer HTTP.
//!
//! What a read of a pipe costs is for the sandbox to say. Before it returns, the kernel calls, with
//! interrupts off, everybody who watches the pipe's other end, and a run can hang 100,000 epoll watches
//! on its own standard output. It takes a run a microsecond to make one, and a read 0.1 to 0.2 of it to
//! call one. So the runs that are old enough to have many are read on threads of their own, too.

use std::io;
use std::thread::available_parallelism;
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// From then on a run is old: those whose answer a client waits for within milliseconds are over, and
/// none has had the time for watches that cost more than some milliseconds.
pub const YOUNG_MAX: Duration = Duration::from_millis(25);

/// Where pipes are read.
#[derive(Debug, Clone)]
pub struct PipeThreads {
    /// Of sandboxes that wait and of young runs. Whatever else is done for sandboxes is done there, too.
    pub young: Handle,
    /// Of old runs.
    pub old: Handle,
}

/// The threads themselves.
pub struct Runtimes {
    young: Runtime,
    old: Runtime,
}

impl Runtimes {
    /// Starts them: half as many as there are cores for each kind, so that HTTP finds a free core beside
    /// either. They are few on purpose: with two on two cores, small executions took 5 % longer.
    ///
    /// # Errors
    /// The system gives no thread or no epoll instance.
    pub fn start() -> io::Result<Self> {
        let threads = available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1));
        let start = |name: &str| {
            Builder::new_multi_thread()
                .worker_threads(threads)
                .thread_name(name)
                .enable_all()
                .build()
        };
        Ok(Self {
            young: start("pipes-young")?,
            old: start("pipes-old")?,
        })
    }

    /// How tasks get there.
    #[must_use]
    pub fn threads(&self) -> PipeThreads {
        PipeThreads {
            young: self.young.handle().clone(),
            old: self.old.handle().clone(),
        }
    }

    /// Drops all tasks, and waits at most so long, twice, for threads that are not done.
    pub fn end(self, longest: Duration) {
        self.young.shutdown_timeout(longest);
        self.old.shutdown_timeout(longest);
    }
}

/// A task on other threads, which is dropped with this.
#[derive(Debug)]
pub struct Away<T>(JoinHandle<T>);

impl<T: Send + 'static> Away<T> {
    /// Starts it.
    pub fn spawn(threads: &Handle, task: impl Future<Output = T> + Send + 'static) -> Self {
        Self(threads.spawn(task))
    }

    /// Waits for its end; none if its threads have ended before, as they do with the service.
    pub async fn end(mut self) -> Option<T> {
        (&mut self.0).await.ok()
    }
}

impl<T> Drop for Away<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
impl PipeThreads {
    /// Those of the test.
    pub fn of_this_test() -> Self {
        Self {
            young: Handle::current(),
            old: Handle::current(),
        }
    }
}
