//! Keeps the configured number of workers serving: starts them, replaces worn ones by warm ones,
//! restarts lost ones, ever more slowly if they keep failing.

use super::ready::{ReadySandbox, Shelf};
use super::shared::{Shared, fill_random};
use super::worker::{Orders, Worker, WorkerError};
use crate::config::Config;
use crate::spawner_link::SpawnerLink;
use codejail_protocol::ScratchName;
use codejail_protocol::control::Hello;
use codejail_protocol::spawn::WorkerId;
use metrics::{counter, gauge};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Pause after the first failed start; doubled after each further one.
const RESTART_PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest pause: a host that was repaired serves again within it.
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long a worker must have served for its loss to be chance.
const SERVED_WELL_MIN: Duration = Duration::from_secs(10);
/// Uid slots of each keeper: the worker that serves, the next one warming up, the last one draining.
const SLOTS_PER_KEEPER: usize = 3;

/// The pool as the rest of the service sees it.
#[derive(Debug, Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

impl Pool {
    /// Starts all workers and returns as soon as one of them serves.
    ///
    /// # Errors
    /// The first attempt to start a worker failed: a service that cannot boot stops instead of
    /// looping.
    pub async fn start(
        config: Arc<Config>,
        spawner: Arc<SpawnerLink>,
        (tag, trash): ([u8; 4], ScratchName),
        own_uids: bool,
    ) -> Result<Self, WorkerError> {
        let shared = Arc::new(Shared {
            config,
            spawner,
            shelf: Shelf::default(),
            tag,
            // The spawner has this one for what waits to be removed.
            names: Mutex::new(HashSet::from([trash])),
            first_worker: OnceLock::new(),
            own_uids,
        });
        let ids = Arc::new(AtomicU64::new(0));
        let (boot, mut booted) = mpsc::channel(shared.config.workers);
        for number in 0..shared.config.workers {
            let slots = number * SLOTS_PER_KEEPER..(number + 1) * SLOTS_PER_KEEPER;
            let keeper = Keeper {
                shared: Arc::clone(&shared),
                ids: Arc::clone(&ids),
                free_slots: slots.collect(),
                draining: JoinSet::new(),
                boot: Some(boot.clone()),
            };
            tokio::spawn(keeper.keep());
        }
        match booted.recv().await {
            Some(Ok(())) | None => Ok(Self { shared }),
            Some(Err(error)) => Err(error),
        }
    }

    /// Takes a ready sandbox; waits in line while there is none.
    pub async fn take(&self) -> ReadySandbox {
        self.shared.shelf.take().await
    }

    /// What the first warm worker said of itself.
    #[must_use]
    pub fn first_worker(&self) -> Option<&Hello> {
        self.shared.first_worker.get()
    }

    /// Sandboxes that are ready now.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.shared.shelf.len()
    }
}

/// A name with a new random tag, for all directories of this service.
///
/// # Errors
/// The kernel gives no random bytes.
pub fn new_tag() -> io::Result<([u8; 4], ScratchName)> {
    let mut tag = [0; 4];
    fill_random(&mut tag)?;
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&tag);
    Ok((tag, ScratchName::from_random(bytes)))
}

/// Keeps one worker serving.
struct Keeper {
    shared: Arc<Shared>,
    ids: Arc<AtomicU64>,
    free_slots: Vec<usize>,
    /// Workers that were retired and finish what they have; each gives its slot back.
    draining: JoinSet<Option<usize>>,
    /// Told how the first attempt went.
    boot: Option<mpsc::Sender<Result<(), WorkerError>>>,
}

/// A worker that serves.
struct Serving {
    task: JoinHandle<Option<usize>>,
    retire: CancellationToken,
    worn: watch::Receiver<bool>,
}

impl Keeper {
    /// Runs as long as the service.
    async fn keep(mut self) {
        let mut serving: Option<Serving> = None;
        let mut pause = RESTART_PAUSE_MIN;
        loop {
            match self.start().await {
                Ok(next) => {
                    gauge!("codejail_workers").increment(1);
                    if let Some(previous) = serving.replace(next) {
                        self.retire(previous);
                    }
                }
                Err(error) => {
                    counter!("codejail_worker_failures_total").increment(1);
                    tracing::error!(%error, ?pause, "a worker can't be started");
                    self.report_boot(Err(error));
                    sleep(pause).await;
                    pause = RESTART_PAUSE_MAX.min(2 * pause);
                    continue;
                }
            }
            self.report_boot(Ok(()));
            if let Some(current) = &mut serving {
                let since = Instant::now();
                let ended = tokio::select! {
                    slot = &mut current.task => Some(slot.ok().flatten()),
                    _ = current.worn.wait_for(|worn| *worn) => None,
                };
                if let Some(slot) = ended {
                    gauge!("codejail_workers").decrement(1);
                    self.free_slots.extend(slot);
                    serving = None;
                    // Lost as soon as it served: not at once again.
                    if since.elapsed() < SERVED_WELL_MIN {
                        sleep(pause).await;
                        pause = RESTART_PAUSE_MAX.min(2 * pause);
                    }
                }
                if since.elapsed() >= SERVED_WELL_MIN {
                    pause = RESTART_PAUSE_MIN;
                }
            }
        }
    }

    /// Starts one worker and waits until it has a sandbox ready.
    async fn start(&mut self) -> Result<Serving, WorkerError> {
        while let Some(slot) = self.draining.try_join_next() {
            self.free_slots.extend(slot.ok().flatten());
        }
        let slot = match self.free_slots.pop() {
            Some(slot) => slot,
            None => match self.draining.join_next().await {
                Some(Ok(Some(slot))) => slot,
                _ => return Err(WorkerError::Ended),
            },
        };
        let id = WorkerId(self.ids.fetch_add(1, Ordering::Relaxed));
        let (worker, hello) = match Worker::start(Arc::clone(&self.shared), id, slot).await {
            Ok(started) => started,
            Err(error) => {
                // Its uids stay with a worker that stays.
                if !matches!(error, WorkerError::Stays(_)) {
                    self.free_slots.push(slot);
                }
                return Err(error);
            }
        };
        for (module, error) in &hello.preload_failed {
            tracing::warn!(
                worker = id.0,
                module,
                error,
                "python.preload: it can't be imported"
            );
        }
        if hello.landlock_abi == 0 {
            tracing::warn!(
                worker = id.0,
                "layer landlock: this kernel has none, or it is off"
            );
        }
        tracing::info!(
            worker = id.0,
            python = hello.python,
            landlock_abi = hello.landlock_abi,
            image_mib = hello.image_bytes >> 20,
            "worker is warm"
        );
        // Only the first is kept.
        let _ = self.shared.first_worker.set(hello);
        let (serving, serves) = oneshot::channel();
        let (worn_sender, worn) = watch::channel(false);
        let retire = CancellationToken::new();
        let orders = Orders {
            retire: retire.clone(),
            serving,
            worn: worn_sender,
        };
        let mut task = tokio::spawn(run(worker, id, slot, orders));
        tokio::select! {
            Ok(()) = serves => Ok(Serving { task, retire, worn }),
            slot = &mut task => {
                self.free_slots.extend(slot.ok().flatten());
                Err(WorkerError::Ended)
            }
        }
    }

    fn retire(&mut self, previous: Serving) {
        previous.retire.cancel();
        self.draining.spawn(async move {
            let slot = previous.task.await.ok().flatten();
            gauge!("codejail_workers").decrement(1);
            slot
        });
    }

    fn report_boot(&mut self, result: Result<(), WorkerError>) {
        if let Some(boot) = self.boot.take() {
            // Room for one from each keeper; nobody listens after the first.
            let _ = boot.try_send(result);
        }
    }
}

/// Runs one worker to its end and gives its slot back, if its process is gone.
async fn run(worker: Worker, id: WorkerId, slot: usize, orders: Orders) -> Option<usize> {
    let result = worker.run(orders).await;
    match &result {
        Ok(()) => tracing::info!(worker = id.0, "worker retired"),
        Err(error) => {
            counter!("codejail_worker_failures_total").increment(1);
            tracing::error!(worker = id.0, %error, "worker lost");
        }
    }
    (!matches!(result, Err(WorkerError::Stays(_)))).then_some(slot)
}
