//! One worker that serves: its conversation and its end.

mod error;
mod start;

pub use error::WorkerError;

use super::live::{EXIT_MAX, LiveSandboxes, State};
use super::pause::Pause;
use super::prepare::{make_pipes, wait_until_prepared};
use super::ready::{Command, ReadySandbox, SandboxGuard, Shelf};
use super::shared::Shared;
use super::slots::Slot;
use crate::deadline::sleep_until_some;
use crate::metrics;
use crate::python_files::PythonVersion;
use codejail_protocol::control::{SandboxId, WorkerReport, WorkerRequest};
use codejail_protocol::job::Usage;
use codejail_protocol::spawn::WorkerId;
use codejail_transport_asynchronous::AsyncPacketSocket;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// How long a killed worker may take to be reaped. The kernel needs some seconds to free gigabytes.
/// A worker that stays longer is stuck in the kernel, for example on a disk that does not answer.
const REAP_MAX: Duration = Duration::from_secs(60);
/// Failures in a row after which a worker is given up. A single failure may be chance (a name that
/// was taken).
const FAILURES_MAX: u32 = 5;

/// The channels between a keeper and a running worker.
pub struct WorkerControls {
    /// Cancelled when the worker shall drain and end.
    pub retire: CancellationToken,
    /// Becomes true once the worker has served `max_requests` executions.
    pub max_requests_reached: watch::Sender<bool>,
}

/// A worker's task.
pub struct Worker {
    id: WorkerId,
    shared: Arc<Shared>,
    /// The shelf of its ready sandboxes: a shelf of its own until it has joined, then the common
    /// shelf.
    shelf: Arc<Shelf>,
    joined: bool,
    control: AsyncPacketSocket,
    /// Receives its exit status; none once that was received.
    end: Option<oneshot::Receiver<i32>>,
    say: mpsc::UnboundedSender<Command>,
    commands: mpsc::UnboundedReceiver<Command>,
    live: LiveSandboxes,
    /// Its uids; another worker may have them once no process of this worker is left.
    slot: Slot,
    /// Python's files as they were when it was launched.
    python: PythonVersion,
    /// The name of its image in the log.
    image: Arc<str>,
    executions_left: Option<u64>,
    /// Consecutive sandboxes that could not be prepared.
    failures: u32,
    pause: Pause,
}

impl Worker {
    /// The channel over which the worker's task is told that it may join.
    pub fn say(&self) -> mpsc::UnboundedSender<Command> {
        self.say.clone()
    }

    /// Serves until the worker breaks, or until it is drained after one of three events: it is
    /// retired, it can't get more sandboxes, or Python's files have changed. When this function
    /// returns the worker's processes and directories are gone, unless the error is
    /// [`WorkerError::Stays`].
    pub async fn run(mut self, controls: WorkerControls) -> Result<(), WorkerError> {
        let mut failing = None;
        let result = loop {
            let retiring =
                failing.is_some() || controls.retire.is_cancelled() || !self.python.is_current();
            let pause = self.pause.end(&self.shelf).filter(|_| !retiring);
            if retiring {
                drop(self.shelf.withdraw(self.id));
                if self.live.drained() {
                    break failing.map_or(Ok(()), Err);
                }
            } else if self.live.no_seat_left() {
                break Err(WorkerError::NoSeat);
            } else if pause.is_none()
                && let Err(error) = self.refill().await
            {
                if !error.keeps_running_sandboxes() {
                    break Err(error);
                }
                failing = Some(error);
                continue;
            }
            let overdue = self.live.overdue();
            let step = tokio::select! {
                // Commands come first: `Taken` is always sent before the sandbox can end.
                biased;
                Some(command) = self.commands.recv() => {
                    self.obey(command, &controls.max_requests_reached).await
                }
                report = self.control.receive() => match report {
                    Ok(Some(report)) => self.heard(report),
                    Ok(None) => Err(WorkerError::Ended),
                    Err(error) => Err(error.into()),
                },
                () = self.live.cleaned() => Ok(()),
                () = sleep_until_some(overdue) => self.end_overdue().await,
                () = sleep_until_some(pause) => Ok(()),
                _ = wait_for_end(&mut self.end, self.id, BY_ITSELF) => Err(WorkerError::Ended),
                () = controls.retire.cancelled(), if !retiring => Ok(()),
                () = self.python.changed(), if !retiring => Ok(()),
            };
            match step {
                Ok(()) => {}
                // Running sandboxes may finish. The first reason is the one that is reported.
                Err(error) if error.keeps_running_sandboxes() => {
                    failing.get_or_insert(error);
                }
                Err(error) => break Err(error),
            }
        };
        self.end_all().await?;
        result
    }

    /// Orders sandboxes, each with its pipes, and listens for its `Prepared`.
    async fn refill(&mut self) -> Result<(), WorkerError> {
        while self.live.wants_more() {
            let (pipes, theirs) = make_pipes()?;
            let (exit, ended) = oneshot::channel();
            let (left, remains) = oneshot::channel();
            let Some((sandbox, dir, uid)) = self.live.add(exit, left)? else {
                return Ok(());
            };
            let order = WorkerRequest::Prepare { sandbox, dir, uid };
            let descriptors = theirs.each_ref().map(AsFd::as_fd);
            self.order(&order, &descriptors).await?;
            let ready = ReadySandbox {
                pipes,
                exit: ended,
                guard: SandboxGuard::new(self.id, sandbox, self.say.clone()),
                python: self.python.clone(),
                image: Arc::clone(&self.image),
                used: Usage::default(),
                remains: Some(remains),
                old_runs: self.shared.old_runs.clone(),
            };
            tokio::spawn(wait_until_prepared(sandbox, ready, self.say.clone()));
        }
        Ok(())
    }

    /// Handles a report from the worker.
    fn heard(&mut self, report: WorkerReport) -> Result<(), WorkerError> {
        match report {
            WorkerReport::Exited(exited) => {
                let sandbox = exited.sandbox;
                let removed = self.live.remove(sandbox, Some(exited.used));
                let (state, exit) =
                    removed.ok_or(WorkerError::Protocol("an exit of no sandbox"))?;
                if state == State::Ready {
                    drop(self.shelf.withdraw_one(self.id, sandbox));
                    let status = exited.status;
                    tracing::warn!(
                        event = "waiting_sandbox_ended",
                        worker = self.id.0,
                        status,
                        "a sandbox ended while it waited"
                    );
                }
                metrics::count_sandbox_cpu(exited.used.cpu_us);
                // An error means that nobody waits for this end any more.
                let _ = exit.send(exited);
                Ok(())
            }
            WorkerReport::PrepareFailed { sandbox, error } => {
                let removed = self.live.remove(sandbox, None);
                removed.ok_or(WorkerError::Protocol("a failure of no sandbox"))?;
                self.count_failure(error)
            }
            WorkerReport::Hello(_) | WorkerReport::StartFailed { .. } => {
                Err(WorkerError::Protocol("expected Exited or PrepareFailed"))
            }
        }
    }

    async fn obey(
        &mut self,
        command: Command,
        max_requests_reached: &watch::Sender<bool>,
    ) -> Result<(), WorkerError> {
        match command {
            Command::Ready(ready) => {
                let sandbox = ready.guard.sandbox();
                // A sandbox that has ended meanwhile is dropped together with its pipes.
                if self.live.state(sandbox) == Some(State::Preparing) {
                    self.live.set_state(sandbox, State::Ready);
                    self.failures = 0;
                    self.shelf.put(*ready);
                }
            }
            Command::Join => {
                let own = std::mem::replace(&mut self.shelf, Arc::clone(&self.shared.shelf));
                for ready in own.withdraw(self.id) {
                    self.shelf.put(ready);
                }
                self.joined = true;
            }
            // A sandbox that the worker could not fork was handled already.
            Command::Unready(sandbox, error) if self.live.state(sandbox).is_some() => {
                self.kill(sandbox).await?;
                return self.count_failure(error);
            }
            Command::Unready(..) => {}
            Command::Taken { sandbox, counts } => {
                self.live.set_state(sandbox, State::Running);
                if self.joined && !counts {
                    self.live.set_beside_clients(sandbox);
                }
                if let Some(left) = &mut self.executions_left
                    && self.joined
                    && counts
                {
                    *left = left.saturating_sub(1);
                    max_requests_reached.send_if_modified(|reached| {
                        *left == 0 && !std::mem::replace(reached, true)
                    });
                }
            }
            Command::Kill(sandbox) => self.kill(sandbox).await?,
            Command::Released(sandbox) => {
                self.live.set_state(sandbox, State::Leaving);
                self.pause.begin(&self.shelf);
            }
        }
        Ok(())
    }

    /// Kills sandboxes that reported their end and did not exit. Gives the worker up if a killed
    /// sandbox does not end.
    async fn end_overdue(&mut self) -> Result<(), WorkerError> {
        let now = Instant::now();
        while let Some((sandbox, state)) = self.live.first_overdue(now) {
            if state == State::Ending {
                return Err(WorkerError::Hung(EXIT_MAX));
            }
            self.kill(sandbox).await?;
        }
        Ok(())
    }

    async fn kill(&mut self, sandbox: SandboxId) -> Result<(), WorkerError> {
        if self.live.state(sandbox).is_none() {
            return Ok(());
        }
        self.live.set_state(sandbox, State::Ending);
        self.order(&WorkerRequest::Kill { sandbox }, &[]).await
    }

    /// Sends an order. A worker that takes no order for so long is hung; the timeout keeps it from
    /// hanging this task too.
    async fn order(
        &self,
        order: &WorkerRequest,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), WorkerError> {
        match timeout(EXIT_MAX, self.control.send(order, descriptors)).await {
            Ok(sent) => Ok(sent?),
            Err(_) => Err(WorkerError::Hung(EXIT_MAX)),
        }
    }

    fn count_failure(&mut self, error: String) -> Result<(), WorkerError> {
        self.failures += 1;
        if self.failures >= FAILURES_MAX {
            return Err(WorkerError::Start(error));
        }
        tracing::warn!(
            event = "sandbox_prepare_failed",
            worker = self.id.0,
            error,
            "a sandbox could not be prepared"
        );
        Ok(())
    }

    /// Kills the worker, waits until it is reaped and until its directories are gone. If the worker
    /// does not end, it keeps its uids and directories until it does.
    async fn end_all(mut self) -> Result<(), WorkerError> {
        drop(self.shelf.withdraw(self.id));
        if self.end.is_some() && self.shared.spawner.kill(self.id).await.is_ok() {
            let reaped = timeout(REAP_MAX, wait_for_end(&mut self.end, self.id, TOLD)).await;
            if reaped.is_err() {
                tokio::spawn(self.outlast());
                return Err(WorkerError::Stays(REAP_MAX));
            }
        }
        self.live.remove_all().await;
        Ok(())
    }

    /// Waits for the end of a worker that did not end in time. Its directories are removed before
    /// its uids are given back.
    async fn outlast(mut self) {
        wait_for_end(&mut self.end, self.id, TOLD).await;
        self.live.remove_all().await;
        drop(self.slot);
    }
}

/// Waits until the spawner has reaped the worker, and returns its status. None if the spawner is
/// gone, or if the status was received already.
async fn wait_for_end(
    end: &mut Option<oneshot::Receiver<i32>>,
    worker: WorkerId,
    why: &str,
) -> Option<i32> {
    let status = end.as_mut()?.await.ok();
    *end = None;
    tracing::info!(
        event = "worker_ended",
        worker = worker.0,
        status,
        "worker ended: {why}"
    );
    status
}

/// The reason in the log for a worker that the service killed: status -9.
const TOLD: &str = "the service killed it";
/// The reason in the log for any other end.
const BY_ITSELF: &str = "not by the service";

#[cfg(test)]
mod tests;
