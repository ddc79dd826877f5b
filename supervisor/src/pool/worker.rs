//! One worker: its launch, its conversation, its sandboxes, its end.

use super::prepare::{make_pipes, wait_until_prepared};
use super::ready::{Command, ReadySandbox, Running, Shelf};
use super::worker_log::log_lines;
use crate::config::Config;
use crate::packet_io::AsyncPacketSocket;
use crate::spawner_link::{SpawnerLink, SpawnerLinkError};
use codejail_protocol::control::{
    Exited, Hello, SandboxId, WorkerConfig, WorkerOrder, WorkerReport,
};
use codejail_protocol::spawn::WorkerId;
use codejail_protocol::{BUILD, ScratchName};
use codejail_transport::{PacketError, PacketSocket};
use metrics::{counter, histogram};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// How long a worker may warm up: the whole Open edX list takes 3 s here, 40 s under emulation.
const WARM_UP_MAX: Duration = Duration::from_secs(120);
/// How long a sandbox may take to be gone once it is killed or has said that it is done. Taking down
/// a large image costs some 10 ms; beyond this the whole worker is taken for hung.
pub const EXIT_MAX: Duration = Duration::from_millis(1000);

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
    /// It did not end a sandbox in time.
    #[error("it did not end a sandbox in {0:?}")]
    Hung(Duration),
    /// It ended by itself.
    #[error("it ended unexpectedly")]
    Ended,
}

/// What the workers of a pool share.
#[derive(Debug)]
pub struct Shared {
    /// The configuration.
    pub config: Arc<Config>,
    /// The way to the spawner.
    pub spawner: Arc<SpawnerLink>,
    /// Ready sandboxes.
    pub shelf: Shelf,
    /// A name with this service's tag.
    pub tag: [u8; 4],
    /// Whether workers and sandboxes get uids of their own.
    pub own_uids: bool,
}

impl Shared {
    /// A new name for a directory.
    pub fn scratch_name(&self) -> Result<ScratchName, io::Error> {
        let mut random = [0; 8];
        random[..4].copy_from_slice(&self.tag);
        fill_random(&mut random[4..])?;
        Ok(ScratchName::from_random(random))
    }
}

/// Fills with the kernel's random bytes, getrandom(2).
pub fn fill_random(bytes: &mut [u8]) -> io::Result<()> {
    use std::io::Read;
    std::fs::File::open("/dev/urandom")?.read_exact(bytes)
}

/// What the keeper tells a running worker, and hears from it.
pub struct Orders {
    /// Cancelled when the worker shall drain and end.
    pub retire: CancellationToken,
    /// Told once it serves.
    pub serving: oneshot::Sender<()>,
    /// Told once it has served its share of executions.
    pub worn: watch::Sender<bool>,
}

/// One sandbox as its worker's task knows it.
#[derive(Debug)]
struct Live {
    dir: ScratchName,
    uid: Option<u32>,
    state: State,
    /// Takes word of its end to whoever runs it.
    exit: oneshot::Sender<Exited>,
    /// Kept while it is being prepared or is ready; whoever runs it holds the rest.
    overdue: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Preparing,
    Ready,
    Running,
    Ending,
}

/// A worker's task.
pub struct Worker {
    id: WorkerId,
    shared: Arc<Shared>,
    control: AsyncPacketSocket,
    /// Tells its end; none once it has told.
    end: Option<oneshot::Receiver<i32>>,
    commands: (
        mpsc::UnboundedSender<Command>,
        mpsc::UnboundedReceiver<Command>,
    ),
    live: BTreeMap<SandboxId, Live>,
    free_uids: BTreeSet<u32>,
    cleaned: (
        mpsc::UnboundedSender<Option<u32>>,
        mpsc::UnboundedReceiver<Option<u32>>,
    ),
    cleaning: usize,
    next_sandbox: u64,
    executions_left: Option<u64>,
    /// Consecutive sandboxes that could not be prepared.
    failures: u32,
}

/// Failures in a row after which a worker is given up: one may be chance (a name that was taken).
const FAILURES_MAX: u32 = 5;

impl Worker {
    /// Launches a worker on `slot` and waits until it is warm.
    pub async fn start(
        shared: Arc<Shared>,
        id: WorkerId,
        slot: usize,
    ) -> Result<(Self, Hello), WorkerError> {
        let uids = worker_uids(&shared, slot);
        let (ours, theirs) = PacketSocket::pair().map_err(io::Error::from)?;
        let (log_read, log_write) = pipe2(OFlag::O_CLOEXEC).map_err(io::Error::from)?;
        tokio::spawn(log_lines(id, pipe::Receiver::from_owned_fd(log_read)?));
        let dir = shared.scratch_name()?;
        let uid = uids.as_ref().map(|range| range.start);
        let started = Instant::now();
        let launched = shared
            .spawner
            .launch(id, dir, uid, [theirs.into(), log_write]);
        let (pid, end) = launched.await?;
        tracing::info!(worker = id.0, pid, "worker launched");
        let control = AsyncPacketSocket::new(ours)?;
        let sandbox_uids = uids.as_ref().map(|range| (range.start + 1, range.end - 1));
        let mut worker = Self {
            id,
            control,
            end: Some(end),
            commands: mpsc::unbounded_channel(),
            live: BTreeMap::new(),
            free_uids: sandbox_uids
                .map_or_else(BTreeSet::new, |(first, last)| (first..=last).collect()),
            cleaned: mpsc::unbounded_channel(),
            cleaning: 0,
            next_sandbox: 0,
            executions_left: executions(&shared.config)?,
            failures: 0,
            shared,
        };
        let hello = match timeout(WARM_UP_MAX, worker.warm_up(sandbox_uids)).await {
            Ok(Ok(hello)) => hello,
            Ok(Err(error)) => return Err(worker.give_up(error).await),
            Err(_) => return Err(worker.give_up(WorkerError::Slow(WARM_UP_MAX)).await),
        };
        histogram!("codejail_worker_warm_up_seconds").record(started.elapsed().as_secs_f64());
        for (module, error) in &hello.preload_failed {
            tracing::warn!(
                worker = id.0,
                module,
                error,
                "a module of python.preload can't be imported"
            );
        }
        Ok((worker, hello))
    }

    async fn warm_up(&mut self, sandbox_uids: Option<(u32, u32)>) -> Result<Hello, WorkerError> {
        let config = &self.shared.config;
        let start = WorkerOrder::Start(WorkerConfig {
            preload: config.python.preload.clone(),
            scratch_root: config.sandbox.scratch_dir.clone(),
            read_paths: config.read_paths(),
            sandboxes_max: u32::try_from(config.sandboxes_max()).unwrap_or(u32::MAX),
            sandbox_uids,
            landlock: config.layers.landlock,
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

    /// Serves until it is retired and drained, or broken. Whatever happens, its processes are gone
    /// and its directories handed over for removal when this returns.
    pub async fn run(mut self, orders: Orders) -> Result<(), WorkerError> {
        let mut serving = Some(orders.serving);
        let result = loop {
            let retiring = orders.retire.is_cancelled();
            if retiring {
                drop(self.shared.shelf.withdraw(self.id));
                if self.live.values().all(|live| live.state == State::Ending) {
                    break Ok(());
                }
            } else if let Err(error) = self.refill().await {
                break Err(error);
            }
            let overdue = self.live.values().filter_map(|live| live.overdue).min();
            let step = tokio::select! {
                // Commands first: that a sandbox was taken is always said before it can end.
                biased;
                Some(command) = self.commands.1.recv() => {
                    self.obey(command, &mut serving, &orders.worn).await
                }
                report = self.control.receive() => match report {
                    Ok(Some(packet)) => self.heard(packet.message),
                    Ok(None) => Err(WorkerError::Ended),
                    Err(error) => Err(error.into()),
                },
                Some(uid) = self.cleaned.1.recv() => {
                    self.cleaning -= 1;
                    self.free_uids.extend(uid);
                    Ok(())
                }
                () = sleep_until_some(overdue) => Err(WorkerError::Hung(EXIT_MAX)),
                () = wait_for_end(&mut self.end) => Err(WorkerError::Ended),
                () = orders.retire.cancelled(), if !retiring => Ok(()),
            };
            if let Err(error) = step {
                break Err(error);
            }
        };
        self.end_all().await;
        result
    }

    /// Orders sandboxes until there is one spare beside each that may run.
    async fn refill(&mut self) -> Result<(), WorkerError> {
        let wanted = 2 * self.shared.config.sandboxes_per_worker;
        let total_max = self.shared.config.sandboxes_max();
        loop {
            let useful = self
                .live
                .values()
                .filter(|live| live.state != State::Ending)
                .count();
            if useful >= wanted || self.live.len() + self.cleaning >= total_max {
                return Ok(());
            }
            self.prepare().await?;
        }
    }

    /// Orders one sandbox and starts listening for its `Prepared`.
    async fn prepare(&mut self) -> Result<(), WorkerError> {
        let sandbox = SandboxId(self.next_sandbox);
        self.next_sandbox += 1;
        let uid = if self.shared.own_uids {
            let uid = self.free_uids.pop_first();
            Some(uid.ok_or(WorkerError::Protocol("more sandboxes than uids"))?)
        } else {
            None
        };
        let dir = self.shared.scratch_name()?;
        let (pipes, theirs) = make_pipes()?;
        let order = WorkerOrder::Prepare {
            sandbox,
            dir: dir.clone(),
            uid,
        };
        self.control
            .send(&order, &theirs.each_ref().map(AsFd::as_fd))
            .await?;
        let (exit, ended) = oneshot::channel();
        self.live.insert(
            sandbox,
            Live {
                dir,
                uid,
                state: State::Preparing,
                exit,
                overdue: None,
            },
        );
        let commands = self.commands.0.clone();
        let ready = ReadySandbox {
            pipes,
            exit: ended,
            running: Running::new(self.id, sandbox, commands.clone()),
        };
        tokio::spawn(wait_until_prepared(sandbox, ready, commands));
        Ok(())
    }

    /// A report from the worker.
    fn heard(&mut self, report: WorkerReport) -> Result<(), WorkerError> {
        match report {
            WorkerReport::Exited(exited) => {
                let live = self.live.remove(&exited.sandbox);
                let live = live.ok_or(WorkerError::Protocol("an exit of no sandbox"))?;
                if live.state == State::Ready {
                    drop(self.shared.shelf.withdraw_one(self.id, exited.sandbox));
                    tracing::warn!(
                        worker = self.id.0,
                        status = exited.status,
                        "a sandbox ended while it waited"
                    );
                }
                counter!("codejail_executions_cpu_microseconds_total").increment(exited.cpu_us);
                self.clean(live.dir, live.uid);
                // Nobody may be interested any more.
                let _ = live.exit.send(exited);
                Ok(())
            }
            WorkerReport::PrepareFailed { sandbox, error } => {
                let live = self.live.remove(&sandbox);
                let live = live.ok_or(WorkerError::Protocol("a failure of no sandbox"))?;
                self.clean(live.dir, live.uid);
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
        serving: &mut Option<oneshot::Sender<()>>,
        worn: &watch::Sender<bool>,
    ) -> Result<(), WorkerError> {
        match command {
            Command::Ready(ready) => {
                let Some(live) = self.live.get_mut(&ready.running.sandbox()) else {
                    return Ok(());
                };
                live.state = State::Ready;
                self.failures = 0;
                self.shared.shelf.put(ready);
                if let Some(serving) = serving.take() {
                    // The keeper that is not listening is shutting down.
                    let _ = serving.send(());
                }
            }
            Command::Unready(sandbox, error) => {
                self.kill(sandbox).await?;
                return self.count_failure(error);
            }
            Command::Taken(sandbox) => {
                self.set_state(sandbox, State::Running);
                if let Some(left) = &mut self.executions_left {
                    *left = left.saturating_sub(1);
                    worn.send_if_modified(|worn| *left == 0 && !std::mem::replace(worn, true));
                }
            }
            Command::Kill(sandbox) => self.kill(sandbox).await?,
            Command::Released(sandbox) => self.set_state(sandbox, State::Ending),
        }
        Ok(())
    }

    async fn kill(&mut self, sandbox: SandboxId) -> Result<(), WorkerError> {
        self.set_state(sandbox, State::Ending);
        Ok(self
            .control
            .send(&WorkerOrder::Kill { sandbox }, &[])
            .await?)
    }

    fn set_state(&mut self, sandbox: SandboxId, state: State) {
        if let Some(live) = self.live.get_mut(&sandbox) {
            live.state = state;
            if state == State::Ending && live.overdue.is_none() {
                live.overdue = Some(Instant::now() + EXIT_MAX);
            }
        }
    }

    fn count_failure(&mut self, error: String) -> Result<(), WorkerError> {
        self.failures += 1;
        if self.failures >= FAILURES_MAX {
            return Err(WorkerError::Start(error));
        }
        tracing::warn!(worker = self.id.0, error, "a sandbox could not be prepared");
        Ok(())
    }

    /// Has a directory removed; its uid is free again afterwards, and not before.
    fn clean(&mut self, dir: ScratchName, uid: Option<u32>) {
        self.cleaning += 1;
        let (spawner, cleaned) = (Arc::clone(&self.shared.spawner), self.cleaned.0.clone());
        tokio::spawn(async move {
            // Without a spawner the service is ending, and nobody waits for the uid.
            if spawner.clean(dir).await.is_ok() {
                let _ = cleaned.send(uid);
            }
        });
    }

    async fn give_up(mut self, error: WorkerError) -> WorkerError {
        self.end_all().await;
        error
    }

    /// Kills the worker, waits until it is reaped and hands its directories over.
    async fn end_all(&mut self) {
        drop(self.shared.shelf.withdraw(self.id));
        if self.end.is_some() && self.shared.spawner.kill(self.id).await.is_ok() {
            wait_for_end(&mut self.end).await;
        }
        for (_, live) in std::mem::take(&mut self.live) {
            self.clean(live.dir, live.uid);
        }
        while self.cleaning > 0 && self.cleaned.1.recv().await.is_some() {
            self.cleaning -= 1;
        }
    }
}

/// The uids of the worker on `slot`: its own first, then its sandboxes'.
fn worker_uids(shared: &Shared, slot: usize) -> Option<std::ops::Range<u32>> {
    let config = &shared.config;
    let count = config.uids_per_worker();
    let first = u64::from(config.sandbox.uid_base) + slot as u64 * count;
    // The configuration's check bounds the last of them.
    let (first, end) = (
        u32::try_from(first).ok()?,
        u32::try_from(first + count).ok()?,
    );
    shared.own_uids.then_some(first..end)
}

/// `max_requests` and a random part of the jitter; none for never.
fn executions(config: &Config) -> io::Result<Option<u64>> {
    if config.max_requests == 0 {
        return Ok(None);
    }
    let mut random = [0; 8];
    fill_random(&mut random)?;
    let jitter = u64::from_ne_bytes(random) % (config.max_requests_jitter + 1);
    Ok(Some(config.max_requests + jitter))
}

/// Waits until the spawner has reaped the worker, or is gone itself.
async fn wait_for_end(end: &mut Option<oneshot::Receiver<i32>>) {
    if let Some(receiver) = end {
        let status = receiver.await;
        *end = None;
        tracing::info!(status = status.ok(), "worker ended");
    }
}

async fn sleep_until_some(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
