//! Sandboxes that are ready, and the guard of a sandbox that runs.

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

/// A message to a worker's task, mostly about one of its sandboxes.
#[derive(Debug)]
pub enum Command {
    /// It is locked down and waits for its job.
    Ready(Box<ReadySandbox>),
    /// It could not be prepared.
    Unready(SandboxId, String),
    /// The worker has passed its checks: its sandboxes go to the common shelf.
    Join,
    /// The sandbox has been taken. This counts as an execution if it is for a client and the worker
    /// has joined.
    Taken {
        /// Which.
        sandbox: SandboxId,
        /// Whether it was taken for a client.
        counts: bool,
    },
    /// Kill it: its deadline is over, its client is gone, or it broke the protocol.
    Kill(SandboxId),
    /// Its run is over and answered; the sandbox should exit soon.
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
    /// Receives the sandbox's end; closed without a message if the worker was lost.
    pub exit: oneshot::Receiver<Exited>,
    /// Makes sure that the sandbox ends.
    pub guard: SandboxGuard,
    /// Python's files as its worker knows them.
    pub python: PythonVersion,
    /// The image that it was forked from: `image_name` makes its name.
    pub image: Arc<str>,
    /// What the sandbox had used before it had a job, by its own report.
    pub used: Usage,
    /// Receives what the sandbox used and left, for the log; none once the receiver was taken out.
    pub remains: Option<oneshot::Receiver<Remains>>,
    /// Where its pipes are read once its run is old.
    pub old_runs: Handle,
}

/// What is known of a sandbox once it is gone and its seat is empty again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remains {
    /// What it used from its fork on; none if its worker was lost, since only the worker can tell.
    pub used: Option<Usage>,
    /// Bytes that its files took; none where they were not on a file system of their own.
    pub scratch_bytes: Option<u64>,
}

/// Makes sure that a sandbox ends: if the guard is dropped before `finished`, the sandbox is
/// killed.
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

    /// Kills the sandbox now; its exit follows.
    pub fn kill(&self) {
        self.say(Command::Kill(self.sandbox));
    }

    /// The sandbox has reported that it is done, or has exited already.
    pub fn finished(mut self) {
        self.finished = true;
        self.say(Command::Released(self.sandbox));
    }

    fn say(&self, command: Command) {
        // If the worker's task is gone, all its sandboxes are gone too.
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

/// All sandboxes that are ready. Takers are served in the order in which they came. The number of
/// permits is the number of ready sandboxes; for a moment it may be higher, after sandboxes were
/// withdrawn.
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

    /// Takes a sandbox from the worker that has the most; waits in line while there is none.
    /// `counts` says whether this is an execution of the worker.
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
        // The oldest sandbox goes first, so that none waits for ever.
        (!fullest.is_empty()).then(|| fullest.remove(0))
    }

    /// Withdraws all sandboxes of a worker; dropping the returned sandboxes kills them.
    pub fn withdraw(&self, worker: WorkerId) -> Vec<ReadySandbox> {
        let withdrawn = self.ready.lock().remove(&worker).unwrap_or_default();
        self.permits.forget_permits(withdrawn.len());
        withdrawn
    }

    /// Withdraws a sandbox that has ended while it waited.
    pub fn withdraw_one(&self, worker: WorkerId, sandbox: SandboxId) -> Option<ReadySandbox> {
        let mut ready = self.ready.lock();
        let sandboxes = ready.get_mut(&worker)?;
        let index = sandboxes
            .iter()
            .position(|ready| ready.guard.sandbox == sandbox)?;
        self.permits.forget_permits(1);
        Some(sandboxes.remove(index))
    }

    /// Whether on average `of_each` sandboxes are ready for each worker, or at most one less in
    /// sum.
    pub fn lacks_at_most_one(&self, of_each: usize) -> bool {
        let ready = self.ready.lock();
        ready.values().map(Vec::len).sum::<usize>() + 1 >= of_each * ready.len()
    }

    /// How many are ready.
    pub fn count(&self) -> usize {
        self.ready.lock().values().map(Vec::len).sum()
    }
}
