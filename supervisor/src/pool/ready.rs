//! Sandboxes that are ready, and what holds one while it runs.

use crate::python_files::PythonVersion;
use codejail_protocol::control::{Exited, SandboxId};
use codejail_protocol::job::Usage;
use codejail_protocol::spawn::WorkerId;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::net::unix::pipe;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// What a worker's task is asked to do with one of its sandboxes.
#[derive(Debug)]
pub enum Command {
    /// It is locked down and waits for its job.
    Ready(Box<ReadySandbox>),
    /// It could not be prepared.
    Unready(SandboxId, String),
    /// The worker has passed its checks: its sandboxes go to the shelf that all take from.
    Join,
    /// It has been taken. One of a worker that has joined counts as an execution, if it is a
    /// client's.
    Taken {
        /// Which.
        sandbox: SandboxId,
        /// Whether for a client.
        counts: bool,
    },
    /// Kill it: its deadline is over, its client is gone, or it broke the protocol.
    Kill(SandboxId),
    /// Its run is over and answered; it should be about to exit.
    Released(SandboxId),
}

/// The supervisor's ends of one sandbox's pipes.
#[derive(Debug)]
pub struct Pipes {
    /// Its standard input: the job goes in here.
    pub job: pipe::Sender,
    /// Its standard output.
    pub stdout: pipe::Receiver,
    /// Its standard error.
    pub stderr: pipe::Receiver,
    /// Its status pipe.
    pub status: pipe::Receiver,
}

/// A sandbox that waits for its job.
#[derive(Debug)]
pub struct ReadySandbox {
    /// Its pipes.
    pub pipes: Pipes,
    /// Tells its end; closed without a word if its worker was lost.
    pub exit: oneshot::Receiver<Exited>,
    /// Answers for its end.
    pub guard: SandboxGuard,
    /// Python's files as its worker knows them.
    pub python: PythonVersion,
    /// The image that it was forked from: `image_name` makes its name.
    pub image: Arc<str>,
    /// What it has used so far, by its own word before it had a job.
    pub used: Usage,
    /// Tells what was left when it was gone, for whoever logs that; none once it was taken out.
    pub remains: Option<oneshot::Receiver<Remains>>,
    /// Where its pipes are read once its run is old.
    pub old_runs: Handle,
}

/// What is known of a sandbox when it is gone, and its seat is empty again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remains {
    /// What it used from its fork on; none if its worker was lost, which would have told.
    pub used: Option<Usage>,
    /// Bytes that its files took; none where they were not on a file system of their own.
    pub scratch_bytes: Option<u64>,
}

/// Answers for a sandbox's end: dropped before `finished`, it kills.
#[derive(Debug)]
pub struct SandboxGuard {
    worker: WorkerId,
    sandbox: SandboxId,
    commands: mpsc::UnboundedSender<Command>,
    finished: bool,
}

impl SandboxGuard {
    /// For a new sandbox of `worker`, whose task listens to `commands`.
    #[must_use]
    pub fn new(
        worker: WorkerId,
        sandbox: SandboxId,
        commands: mpsc::UnboundedSender<Command>,
    ) -> Self {
        Self {
            worker,
            sandbox,
            commands,
            finished: false,
        }
    }

    /// The worker whose sandbox it is.
    #[must_use]
    pub fn worker(&self) -> WorkerId {
        self.worker
    }

    /// Its number.
    #[must_use]
    pub fn sandbox(&self) -> SandboxId {
        self.sandbox
    }

    /// Kills it now; its exit follows.
    pub fn kill(&self) {
        self.say(Command::Kill(self.sandbox));
    }

    /// It said itself that it is done, or has exited already.
    pub fn finished(mut self) {
        self.finished = true;
        self.say(Command::Released(self.sandbox));
    }

    fn say(&self, command: Command) {
        // A worker's task that is gone has taken all its sandboxes with it.
        let _ = self.commands.send(command);
    }
}

impl Drop for SandboxGuard {
    fn drop(&mut self) {
        if !self.finished {
            self.kill();
        }
    }
}

/// All sandboxes that are ready. Takers are served in the order in which they came; the number of
/// permits is the number of ready sandboxes, or momentarily more when some were withdrawn.
#[derive(Debug)]
pub struct Shelf {
    ready: Mutex<BTreeMap<WorkerId, Vec<ReadySandbox>>>,
    permits: Semaphore,
}

impl Default for Shelf {
    fn default() -> Self {
        Self {
            ready: Mutex::default(),
            permits: Semaphore::new(0),
        }
    }
}

impl Shelf {
    /// Adds one.
    pub fn put(&self, sandbox: ReadySandbox) {
        let worker = sandbox.guard.worker;
        self.ready.lock().entry(worker).or_default().push(sandbox);
        self.permits.add_permits(1);
    }

    /// Takes one from the worker that has most to spare; waits in line while there is none. Whether
    /// it `counts` as an execution of its worker.
    pub async fn take(&self, counts: bool) -> ReadySandbox {
        loop {
            let Ok(permit) = self.permits.acquire().await else {
                // The semaphore is never closed.
                std::future::pending().await
            };
            permit.forget();
            if let Some(sandbox) = self.take_from_fullest() {
                let id = sandbox.guard.sandbox;
                let taken = Command::Taken {
                    sandbox: id,
                    counts,
                };
                sandbox.guard.say(taken);
                return sandbox;
            }
        }
    }

    fn take_from_fullest(&self) -> Option<ReadySandbox> {
        let mut ready = self.ready.lock();
        let fullest = ready.values_mut().max_by_key(|sandboxes| sandboxes.len())?;
        // The oldest first, so that none grows stale.
        (!fullest.is_empty()).then(|| fullest.remove(0))
    }

    /// Withdraws all of a worker's; dropping what is returned kills them.
    pub fn withdraw(&self, worker: WorkerId) -> Vec<ReadySandbox> {
        let withdrawn = self.ready.lock().remove(&worker).unwrap_or_default();
        self.permits.forget_permits(withdrawn.len());
        withdrawn
    }

    /// Withdraws one that has ended while it waited.
    pub fn withdraw_one(&self, worker: WorkerId, sandbox: SandboxId) -> Option<ReadySandbox> {
        let mut ready = self.ready.lock();
        let sandboxes = ready.get_mut(&worker)?;
        let index = sandboxes
            .iter()
            .position(|ready| ready.guard.sandbox == sandbox)?;
        self.permits.forget_permits(1);
        Some(sandboxes.remove(index))
    }

    /// Whether so many are ready for each worker, on average, or one less in all.
    pub fn lacks_at_most_one(&self, of_each: usize) -> bool {
        let ready = self.ready.lock();
        ready.values().map(Vec::len).sum::<usize>() + 1 >= of_each * ready.len()
    }

    /// How many are ready.
    pub fn count(&self) -> usize {
        self.ready.lock().values().map(Vec::len).sum()
    }
}
