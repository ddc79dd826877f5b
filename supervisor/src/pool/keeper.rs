//! Keeps one worker serving. The keeper starts a worker and has it checked before it may serve.
//! After `max_requests` it replaces the worker by a warm one. If the worker is lost it starts
//! another one, after ever longer pauses while that keeps failing.

use super::counts::Counted;
use super::ready::{Command, Shelf};
use super::shared::Shared;
use super::worker::{Worker, WorkerControls, WorkerError};
use crate::metrics::labels::{Recycle, Start, WorkerState};
use crate::metrics::{count_recycled, count_worker_start};
use crate::python_files::PythonVersion;
use codejail_protocol::control::Hello;
use codejail_protocol::spawn::WorkerId;
use metrics::counter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Pause after the first failed start; doubled after each further one.
const RESTART_PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest pause: a host that was repaired serves again within it.
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(30);
/// A worker that is lost sooner counts as crashed at its start: the next start waits.
const SERVED_WELL_MIN: Duration = Duration::from_secs(10);
/// Workers that may drain while another one is started. A keeper has slots for three workers
/// (`worker_slots` of the configuration): one that serves, its successor, and one that drains.
const DRAINING_MAX: usize = 1;

/// Keeps one worker serving.
pub struct Keeper {
    shared: Arc<Shared>,
    number: usize,
    ids: Arc<AtomicU64>,
    /// Retired workers that finish their runs.
    draining: JoinSet<()>,
    /// Changes when the serving worker shall be replaced by one with the current configuration.
    rewarm: watch::Receiver<()>,
    /// Cancelled when no worker is wanted any more.
    stop: CancellationToken,
    /// Gets the result of the first attempt.
    boot: Option<mpsc::Sender<Result<(), WorkerError>>>,
}

/// A worker that serves.
struct Serving {
    id: WorkerId,
    task: JoinHandle<()>,
    retire: CancellationToken,
    max_requests_reached: watch::Receiver<bool>,
    /// The version of Python's files with which it started.
    python: PythonVersion,
    counted: Counted,
}

impl Keeper {
    /// Keeps the worker of this `number`: 0, 1 and so on up to the configured workers.
    pub fn new(
        shared: Arc<Shared>,
        number: usize,
        ids: Arc<AtomicU64>,
        rewarm: watch::Receiver<()>,
        stop: CancellationToken,
        boot: Option<mpsc::Sender<Result<(), WorkerError>>>,
    ) -> Self {
        Self {
            shared,
            number,
            ids,
            draining: JoinSet::new(),
            rewarm,
            stop,
            boot,
        }
    }

    /// Runs until it is stopped and the last worker has finished its runs.
    pub async fn keep(mut self) {
        let mut serving: Option<Serving> = None;
        let mut pause = RESTART_PAUSE_MIN;
        while !self.stop.is_cancelled() {
            self.rewarm.mark_unchanged();
            let python = tokio::select! {
                python = self.shared.python.settled() => python,
                () = self.stop.cancelled() => break,
            };
            match self.start(&python).await {
                Ok(next) => {
                    count_worker_start(Start::Served);
                    if let Some(previous) = serving.replace(next) {
                        self.retire(previous);
                    }
                }
                Err(error) if !python.is_current() => {
                    count_worker_start(Start::Outdated);
                    tracing::info!(event = "worker_outdated", %error, "a new worker is given up");
                    if let Some(previous) = serving.take() {
                        self.retire(previous);
                    }
                    continue;
                }
                Err(error) => {
                    count_worker_start(match error {
                        WorkerError::Unsafe(_) => Start::Unsafe,
                        _ => Start::Failed,
                    });
                    counter!("codejail_worker_failures_total").increment(1);
                    tracing::error!(
                        event = "worker_launch_failed",
                        %error,
                        ?pause,
                        "a worker can't be started"
                    );
                    self.report_boot(Err(error));
                    self.sleep(&mut pause, &python).await;
                    continue;
                }
            }
            self.report_boot(Ok(()));
            let since = Instant::now();
            serving = match serving {
                Some(current) => self.until_over(current).await,
                None => None,
            };
            if since.elapsed() >= SERVED_WELL_MIN {
                pause = RESTART_PAUSE_MIN;
            } else if serving.is_none() && python.is_current() {
                // The worker was lost soon after it began to serve: do not start another one at
                // once.
                self.sleep(&mut pause, &python).await;
            }
        }
        if let Some(last) = serving {
            self.retire(last);
        }
        while self.draining.join_next().await.is_some() {}
        self.shared.health.keeper_left(self.number);
    }

    /// Waits until this worker must be replaced, or no worker is wanted any more. Returns this
    /// worker if it still serves.
    async fn until_over(&mut self, mut current: Serving) -> Option<Serving> {
        let reason = tokio::select! {
            biased;
            () = current.python.changed() => Recycle::Python,
            _ = &mut current.task => Recycle::Lost,
            _ = current.max_requests_reached.wait_for(|reached| *reached) => Recycle::MaxRequests,
            Ok(()) = self.rewarm.changed() => Recycle::Reload,
            () = self.stop.cancelled() => Recycle::Stopped,
        };
        count_recycled(reason);
        match reason {
            Recycle::Python => self.retire(current),
            Recycle::Lost => self.shared.health.worker_left(current.id),
            Recycle::MaxRequests | Recycle::Reload | Recycle::Stopped => return Some(current),
        }
        None
    }

    /// Waits; each wait is longer than the one before. A new configuration or a change of Python's
    /// files ends the wait, since it may repair the fault.
    async fn sleep(&mut self, pause: &mut Duration, python: &PythonVersion) {
        tokio::select! {
            () = sleep(*pause) => {}
            Ok(()) = self.rewarm.changed() => {}
            () = python.changed() => {}
            () = self.stop.cancelled() => {}
        }
        *pause = RESTART_PAUSE_MAX.min(2 * *pause);
    }

    /// Starts one worker, has it checked, and lets it join.
    async fn start(&mut self, python: &PythonVersion) -> Result<Serving, WorkerError> {
        while self.draining.len() > DRAINING_MAX {
            self.draining.join_next().await;
        }
        let slot = self.shared.slots.take().ok_or(WorkerError::NoSlot)?;
        let mut counted = self.shared.counts.enter(WorkerState::Starting);
        let id = WorkerId(self.ids.fetch_add(1, Ordering::Relaxed));
        // Only the checks take sandboxes from this shelf.
        let shelf = Arc::new(Shelf::default());
        let started = Worker::start(
            Arc::clone(&self.shared),
            id,
            slot,
            python.clone(),
            Arc::clone(&shelf),
        );
        let (worker, hello) = started.await?;
        let news = self.shared.new_preload_failures(&hello.preload_failed);
        log_hello(id, &hello, &news);
        let preload_failures = hello.preload_failed.len();
        self.shared.counts.set_preload_failures(preload_failures);
        self.shared.health.set_worker_layers(hello.layers.clone());
        // Only the first worker's `Hello` is kept.
        let _ = self.shared.first_worker.set(hello);
        let (reached_sender, max_requests_reached) = watch::channel(false);
        let retire = CancellationToken::new();
        let controls = WorkerControls {
            retire: retire.clone(),
            max_requests_reached: reached_sender,
        };
        let say = worker.say();
        let shared = Arc::clone(&self.shared);
        let mut task = tokio::spawn(run(shared, worker, id, controls));
        let config = self.shared.current.get();
        let checks = tokio::select! {
            biased;
            () = python.changed() => Vec::new(),
            _ = &mut task => return Err(WorkerError::Ended),
            checks = (self.shared.check_worker.0)(id, Arc::clone(&shelf), config) => checks,
        };
        if !python.is_current() {
            retire.cancel();
            // A task that panicked ends the whole process.
            let _ = task.await;
            return Err(WorkerError::PythonChanged);
        }
        let failed = checks.iter().find(|check| check.failure.is_some());
        let failed = failed.map_or_else(String::new, |check| check.id.to_owned());
        if !self.shared.health.worker_checked(self.number, id, checks) {
            retire.cancel();
            let _ = task.await;
            return Err(WorkerError::Unsafe(failed));
        }
        // If the worker is gone already, its task reports that.
        let _ = say.send(Command::Join);
        counted.move_to(WorkerState::Serving);
        Ok(Serving {
            id,
            counted,
            task,
            retire,
            max_requests_reached,
            python: python.clone(),
        })
    }

    fn retire(&mut self, mut previous: Serving) {
        self.shared.health.worker_left(previous.id);
        previous.counted.move_to(WorkerState::Draining);
        previous.retire.cancel();
        self.draining.spawn(async move {
            let _ = previous.task.await;
            drop(previous.counted);
        });
    }

    fn report_boot(&mut self, result: Result<(), WorkerError>) {
        if let Some(boot) = self.boot.take() {
            // The channel has room for one result from each keeper; nobody listens after the first.
            let _ = boot.try_send(result);
        }
    }
}

/// Runs one worker to its end.
async fn run(shared: Arc<Shared>, worker: Worker, id: WorkerId, controls: WorkerControls) {
    let result = worker.run(controls).await;
    shared.health.worker_left(id);
    match result {
        Ok(()) => tracing::info!(event = "worker_retired", worker = id.0, "worker retired"),
        Err(error) => {
            counter!("codejail_worker_failures_total").increment(1);
            tracing::error!(event = "worker_lost", worker = id.0, %error, "worker lost");
        }
    }
}

/// `failed` are the modules of the preload list that earlier workers could import.
fn log_hello(id: WorkerId, hello: &Hello, failed: &[(String, String)]) {
    for (module, error) in failed {
        tracing::warn!(
            event = "preload_failed",
            worker = id.0,
            module,
            error,
            "python.preload: a module can't be imported"
        );
    }
    tracing::info!(
        event = "worker_warmed",
        worker = id.0,
        python = hello.python,
        image_mib = hello.image_bytes >> 20,
        anonymous_mib = hello.memory.own_bytes >> 20,
        sealed_mib = hello.memory.sealed_bytes >> 20,
        huge_mib = hello.memory.huge_bytes >> 20,
        "worker is warm"
    );
}
