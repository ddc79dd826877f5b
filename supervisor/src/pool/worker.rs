//! One worker: its launch, its conversation, its end.

use super::live::{EXIT_MAX, LiveSandboxes, State};
use super::pause::Pause;
use super::prepare::{make_pipes, wait_until_prepared};
use super::ready::{Command, ReadySandbox, SandboxGuard, Shelf};
use super::shared::Shared;
use super::worker_log::log_lines;
use crate::spawner_link::SpawnerLinkError;
use codejail_protocol::BUILD;
use codejail_protocol::control::{
    Hello, SandboxId, WorkerConfig, WorkerLayers, WorkerReport, WorkerRequest,
};
use codejail_protocol::spawn::WorkerId;
use codejail_transport::{PacketError, PacketSocket};
use codejail_transport_asynchronous::AsyncPacketSocket;
use metrics::{counter, histogram};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// How long a worker may warm up: the whole Open edX list takes 3 s here, 40 s under emulation.
const WARM_UP_MAX: Duration = Duration::from_secs(120);
/// How long after its last word the end of a worker that did not get warm is waited for, before it is
/// killed: its exit status tells more than a closed socket.
const LAST_WORD_MAX: Duration = Duration::from_secs(1);
/// How long a worker that was killed may take to be reaped. Taking down gigabytes takes some seconds;
/// one that stays longer waits in the kernel, for a disk that does not answer or the like.
const REAP_MAX: Duration = Duration::from_secs(60);
/// Failures in a row after which a worker is given up: one may be chance (a name that was taken).
const FAILURES_MAX: u32 = 5;

/// Why a worker ended or never was.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The spawner could not start it.
    #[error(transparent)]
    Launch(#[from] SpawnerLinkError),
    /// The conversation broke.
    #[error("control socket: {0}")]
    Packet(#[from] PacketError),
    /// A pipe or socket could not be made.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It said something that is not legal in its state.
    #[error("it broke the protocol: {0}")]
    Protocol(&'static str),
    /// It could not start.
    #[error("{0}")]
    Start(String),
    /// It did not get warm in time.
    #[error("it was not warm after {0:?}")]
    Slow(Duration),
    /// It did not take an order or end a sandbox in time.
    #[error("it did not take an order or end a sandbox in {0:?}")]
    Hung(Duration),
    /// It ended by itself.
    #[error("it ended unexpectedly")]
    Ended,
    /// It ended by itself before it was warm: this Python, with this status (negative for a signal).
    #[error("python.bin = {bin:?}: it ended before it was warm, with {}", describe_status(*.status))]
    Exited {
        /// As configured.
        bin: PathBuf,
        /// 0 to 255, or minus the signal's number.
        status: i32,
    },
    /// It can't be let near anybody's code.
    #[error("it failed its startup checks: {0}")]
    Unsafe(String),
    /// It has no place left to run anything in.
    #[error("what its sandboxes left can't be removed")]
    NoSeat,
    /// It was killed and is still there: its uids can't be given to another.
    #[error("it was killed and has not ended after {0:?}")]
    Stays(Duration),
}

impl WorkerError {
    /// Whether the sandboxes that run may finish: the worker only can't be given new ones.
    fn keeps_running_sandboxes(&self) -> bool {
        matches!(self, Self::Start(_) | Self::Io(_))
    }
}

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
    /// Where its ready sandboxes are: on a shelf of its own, or, once it has joined, on everybody's.
    shelf: Arc<Shelf>,
    joined: bool,
    control: AsyncPacketSocket,
    /// Tells its end; none once it has told.
    end: Option<oneshot::Receiver<i32>>,
    say: mpsc::UnboundedSender<Command>,
    commands: mpsc::UnboundedReceiver<Command>,
    live: LiveSandboxes,
    executions_left: Option<u64>,
    /// Consecutive sandboxes that could not be prepared.
    failures: u32,
    pause: Pause,
}

impl Worker {
    /// Launches a worker on `slot` and waits until it is warm. Its sandboxes will be on `shelf` until
    /// it is told to join.
    pub async fn start(
        shared: Arc<Shared>,
        id: WorkerId,
        slot: usize,
        shelf: Arc<Shelf>,
    ) -> Result<(Self, Hello), WorkerError> {
        let started = Instant::now();
        let uids = shared.worker_uids(slot);
        let (ours, theirs) = PacketSocket::pair().map_err(io::Error::from)?;
        let (log_read, log_write) = pipe2(OFlag::O_CLOEXEC).map_err(io::Error::from)?;
        tokio::spawn(log_lines(id, pipe::Receiver::from_owned_fd(log_read)?));
        let dir = shared.scratch_name()?;
        let uid = uids.as_ref().map(|range| range.start);
        let descriptors = [theirs.into(), log_write];
        let sandbox_uids = uids.map(|range| (range.start + 1, range.end - 1));
        let seats = shared.seats(sandbox_uids)?;
        let live = LiveSandboxes::new(Arc::clone(&shared), dir.clone(), seats);
        let names = live.seat_names();
        let launch = shared.spawner.launch(id, dir, uid, names, descriptors);
        let (pid, end) = launch.await?;
        tracing::info!(
            event = "worker_launched",
            worker = id.0,
            pid,
            "worker launched"
        );
        let (say, commands) = mpsc::unbounded_channel();
        let mut worker = Self {
            id,
            control: AsyncPacketSocket::new(ours)?,
            end: Some(end),
            say,
            commands,
            live,
            executions_left: shared.executions()?,
            failures: 0,
            pause: Pause::new(shared.config.sandboxes_ready()),
            shelf,
            joined: false,
            shared,
        };
        let error = match timeout(WARM_UP_MAX, worker.warm_up(sandbox_uids)).await {
            Ok(Ok(hello)) => {
                let elapsed = started.elapsed().as_secs_f64();
                histogram!("codejail_worker_warm_up_seconds").record(elapsed);
                return Ok((worker, hello));
            }
            Ok(Err(error)) => worker.why(error).await,
            Err(_) => WorkerError::Slow(WARM_UP_MAX),
        };
        worker.end_all().await?;
        Err(error)
    }

    /// A conversation that breaks off says little; if the process ended by itself, its status says more.
    async fn why(&mut self, error: WorkerError) -> WorkerError {
        if !matches!(
            error,
            WorkerError::Ended | WorkerError::Packet(PacketError::Socket(_))
        ) {
            return error;
        }
        match timeout(LAST_WORD_MAX, wait_for_end(&mut self.end)).await {
            Ok(Some(status)) => {
                let bin = self.shared.config.python.bin.clone();
                WorkerError::Exited { bin, status }
            }
            Ok(None) | Err(_) => error,
        }
    }

    /// How the worker's task is told that it may join.
    pub fn say(&self) -> mpsc::UnboundedSender<Command> {
        self.say.clone()
    }

    async fn warm_up(&self, sandbox_uids: Option<(u32, u32)>) -> Result<Hello, WorkerError> {
        let config = &self.shared.config;
        let current = self.shared.current.get();
        let start = WorkerRequest::Start(WorkerConfig {
            preload: current.python.preload.clone(),
            scratch_root: config.sandbox.scratch_dir.clone(),
            read_paths: config.read_paths(),
            sandboxes_max: u32::try_from(config.sandboxes_max()).unwrap_or(u32::MAX),
            own_uids: sandbox_uids.is_some(),
            seats: self.shared.spawner.seats(),
            huge_pages: current.python.huge_pages,
            layers: WorkerLayers {
                landlock: config.layers.landlock,
                seccomp: config.layers.seccomp,
                rlimits: config.layers.rlimits,
            },
            apparmor: self.shared.spawner.apparmor().profiles.clone(),
        });
        self.control.send(&start, &[]).await?;
        match self.control.receive().await?.map(|packet| packet.message) {
            Some(WorkerReport::Hello(hello)) if hello.build == BUILD => Ok(hello),
            Some(WorkerReport::Hello(hello)) => Err(WorkerError::Start(format!(
                "the worker module is {}, the service {BUILD}: install both from one build",
                hello.build
            ))),
            Some(WorkerReport::StartFailed { error }) => Err(WorkerError::Start(error)),
            Some(_) => Err(WorkerError::Protocol("expected Hello")),
            None => Err(WorkerError::Ended),
        }
    }

    /// Serves until it is retired, or can't be given more sandboxes, and drained; or until it is broken.
    /// Whatever happens, its processes and its directories are gone when this returns.
    pub async fn run(mut self, controls: WorkerControls) -> Result<(), WorkerError> {
        let mut failing = None;
        let result = loop {
            let retiring = failing.is_some() || controls.retire.is_cancelled();
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
                    Ok(Some(packet)) => self.heard(packet.message),
                    Ok(None) => Err(WorkerError::Ended),
                    Err(error) => Err(error.into()),
                },
                () = self.live.cleaned() => Ok(()),
                () = sleep_until_some(overdue) => self.end_overdue().await,
                () = sleep_until_some(pause) => Ok(()),
                _ = wait_for_end(&mut self.end) => Err(WorkerError::Ended),
                () = controls.retire.cancelled(), if !retiring => Ok(()),
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

    /// WorkerControls sandboxes, each with its pipes, and listens for its `Prepared`.
    async fn refill(&mut self) -> Result<(), WorkerError> {
        while self.live.wants_more() {
            let (pipes, theirs) = make_pipes()?;
            let (exit, ended) = oneshot::channel();
            let Some((sandbox, dir, uid)) = self.live.add(exit)? else {
                return Ok(());
            };
            let order = WorkerRequest::Prepare { sandbox, dir, uid };
            let descriptors = theirs.each_ref().map(AsFd::as_fd);
            self.order(&order, &descriptors).await?;
            let ready = ReadySandbox {
                pipes,
                exit: ended,
                guard: SandboxGuard::new(self.id, sandbox, self.say.clone()),
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
                let removed = self.live.remove(sandbox);
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
                counter!("codejail_executions_cpu_microseconds_total").increment(exited.cpu_us);
                // Nobody may be interested any more.
                let _ = exit.send(exited);
                Ok(())
            }
            WorkerReport::PrepareFailed { sandbox, error } => {
                let removed = self.live.remove(sandbox);
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
                    self.shelf.put(ready);
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

    /// Sends an order. A worker that takes none for so long is hung; it must not hang this task too.
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

    /// Kills the worker, waits until it is reaped, and until its directories are gone.
    async fn end_all(&mut self) -> Result<(), WorkerError> {
        drop(self.shelf.withdraw(self.id));
        if self.end.is_some() && self.shared.spawner.kill(self.id).await.is_ok() {
            let reaped = timeout(REAP_MAX, wait_for_end(&mut self.end)).await;
            reaped.map_err(|_| WorkerError::Stays(REAP_MAX))?;
        }
        self.live.remove_all().await;
        Ok(())
    }
}

/// Waits until the spawner has reaped the worker, and tells its status; none if the spawner is gone
/// itself, or has told already.
async fn wait_for_end(end: &mut Option<oneshot::Receiver<i32>>) -> Option<i32> {
    let status = end.as_mut()?.await.ok();
    *end = None;
    tracing::info!(event = "worker_ended", status, "worker ended");
    status
}

fn describe_status(status: i32) -> String {
    match status {
        0.. => format!("exit status {status}"),
        _ => format!("signal {}", -status),
    }
}

async fn sleep_until_some(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
