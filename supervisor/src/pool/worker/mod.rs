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

/// How long a worker that was killed may take to be reaped. Taking down gigabytes takes some
/// seconds; one that stays longer waits in the kernel, for a disk that does not answer or the like.
const REAP_MAX: Duration = Duration::from_secs(60);
/// Failures in a row after which a worker is given up: one may be chance (a name that was taken).
const FAILURES_MAX: u32 = 5;

/// What the keeper tells a running worker, and hears from it.
pub struct WorkerControls {
    /// Cancelled when the worker shall drain and end.
    pub retire: CancellationToken,
    /// Told once the worker has served `max_requests` executions.
    pub max_requests_reached: watch::Sender<bool>,
}

/// A worker's task.
pub struct Worker {
    id: WorkerId,
    shared: Arc<Shared>,
    /// Where its ready sandboxes are: on a shelf of its own, or, once it has joined, on
    /// everybody's.
    shelf: Arc<Shelf>,
    joined: bool,
    control: AsyncPacketSocket,
    /// Tells its end; none once it has told.
    end: Option<oneshot::Receiver<i32>>,
    say: mpsc::UnboundedSender<Command>,
    commands: mpsc::UnboundedReceiver<Command>,
    live: LiveSandboxes,
    /// Its uids; another worker may have them when no process of this one is left.
    slot: Slot,
    /// Python's files as they were when it was launched.
    python: PythonVersion,
    /// What its image is called in the log.
    image: Arc<str>,
    executions_left: Option<u64>,
    /// Consecutive sandboxes that could not be prepared.
    failures: u32,
    pause: Pause,
}

impl Worker {
    /// How the worker's task is told that it may join.
    pub fn say(&self) -> mpsc::UnboundedSender<Command> {
        self.say.clone()
    }

    /// Serves until it is retired, can't be given more sandboxes, or has other files of Python than
    /// there are now, and drained; or until it is broken. Whatever happens, its processes and its
    /// directories are gone when this returns, unless it says [`WorkerError::Stays`].
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
                // Commands first: that a sandbox was taken is always said before it can end.
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
                // What runs may finish; the first reason is the one that is told.
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

    /// A report from the worker.
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
                // Nobody may be interested any more.
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
                // One that has ended meanwhile is dropped, and with it its pipes.
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
            // One that the worker could not even fork is known already.
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

    /// Kills those that said that they are done and stay; gives the worker up for those that were
    /// killed and stay.
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

    /// Sends an order. A worker that takes none for so long is hung; it must not hang this task
    /// too.
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

    /// Kills the worker, waits until it is reaped, and until its directories are gone. If it stays,
    /// then its uids and its directories stay with it, and are given back whenever it ends.
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

    /// Waits for the end of a worker that stays. The directories go before the uids that own them.
    async fn outlast(mut self) {
        wait_for_end(&mut self.end, self.id, TOLD).await;
        self.live.remove_all().await;
        drop(self.slot);
    }
}

/// Waits until the spawner has reaped the worker, and tells its status; none if the spawner is gone
/// itself, or has told already.
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

/// Why most workers end: they are killed, which is status -9.
const TOLD: &str = "the service killed it";
/// Why others do.
const BY_ITSELF: &str = "not by the service";

#[cfg(test)]
mod tests;
