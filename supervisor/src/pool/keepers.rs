//! The pool as the rest of the service sees it, and how many workers it keeps.

use super::counts::Counts;
use super::keeper::Keeper;
use super::ready::{ReadySandbox, Shelf};
use super::shared::{CheckWorker, Shared, fill_random};
use super::slots::Slots;
use super::worker::WorkerError;
use crate::config::current::Current;
use crate::health::Health;
use crate::python_files::PythonFiles;
use crate::spawner_link::SpawnerLink;
use codejail_protocol::ScratchName;
use codejail_protocol::control::Hello;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The pool as the rest of the service sees it.
#[derive(Debug, Clone)]
pub struct Pool {
    shared: Arc<Shared>,
    keepers: Arc<Mutex<Keepers>>,
}

/// The keepers.
#[derive(Debug)]
struct Keepers {
    ids: Arc<AtomicU64>,
    rewarm: watch::Sender<()>,
    /// Active keepers first, then the ones being stopped.
    tasks: Vec<KeeperTask>,
    /// How many keepers keep a worker.
    workers: usize,
}

/// A keeper's task.
#[derive(Debug)]
struct KeeperTask {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Pool {
    /// Starts all workers. Returns as soon as the first of them serves or has failed its checks; in
    /// the second case others may still pass.
    ///
    /// # Errors
    /// The first attempt to start a worker failed: a service that cannot boot stops instead of
    /// looping.
    pub async fn start(
        current: Arc<Current>,
        health: Arc<Health>,
        spawner: Arc<SpawnerLink>,
        (tag, trash): ([u8; 4], ScratchName),
        own_uids: bool,
        check_worker: CheckWorker,
        old_runs: Handle,
    ) -> Result<Self, WorkerError> {
        let config = current.get();
        let workers = config.workers;
        let shared = Arc::new(Shared {
            slots: Slots::new(config.worker_slots()),
            python: PythonFiles::new(config.python.bin.clone()),
            current,
            workers_max: config.workers_max(),
            health,
            spawner,
            shelf: Shelf::default().into(),
            tag,
            // The spawner uses this name for what waits to be removed.
            names: Mutex::new(HashSet::from([trash])),
            first_worker: OnceLock::new(),
            preload_failed: Mutex::default(),
            own_uids,
            old_runs,
            check_worker,
            counts: Arc::default(),
        });
        tokio::spawn(Arc::clone(&shared.python).keep_watch());
        let keepers = Keepers {
            ids: Arc::default(),
            rewarm: watch::Sender::new(()),
            tasks: Vec::new(),
            workers: 0,
        };
        let pool = Self {
            shared,
            keepers: Arc::new(Mutex::new(keepers)),
        };
        let (boot, mut booted) = mpsc::channel(workers);
        pool.set_workers(workers, Some(&boot));
        match booted.recv().await {
            Some(Ok(()) | Err(WorkerError::Unsafe(_))) | None => Ok(pool),
            Some(Err(error)) => Err(error),
        }
    }

    /// Keeps so many workers from now on: at least one, and at most as many as there are uids for.
    /// Returns that number.
    pub fn resize(&self, workers: usize) -> usize {
        self.set_workers(workers, None)
    }

    /// How many workers it keeps.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.keepers.lock().workers
    }

    /// Replaces each worker by one with the current configuration. The new worker serves before the
    /// old one retires.
    pub fn rewarm(&self) {
        self.keepers.lock().rewarm.send_replace(());
    }

    fn set_workers(
        &self,
        workers: usize,
        boot: Option<&mpsc::Sender<Result<(), WorkerError>>>,
    ) -> usize {
        let workers = workers.clamp(1, self.shared.workers_max);
        let mut keepers = self.keepers.lock();
        while keepers.workers > workers {
            keepers.workers -= 1;
            keepers.tasks[keepers.workers].stop.cancel();
        }
        while keepers.workers < workers {
            keepers.add(&self.shared, boot.cloned());
        }
        workers
    }

    /// Takes a ready sandbox for a client's execution; waits in line while there is none.
    pub async fn take(&self) -> ReadySandbox {
        self.shared.shelf.take(true).await
    }

    /// Takes a ready sandbox for an execution of the service itself. `max_requests` does not count
    /// it.
    pub async fn take_for_service(&self) -> ReadySandbox {
        self.shared.shelf.take(false).await
    }

    /// The `Hello` of the first warm worker.
    #[must_use]
    pub fn first_worker(&self) -> Option<&Hello> {
        self.shared.first_worker.get()
    }

    /// Calls `forget` each time Python's files have changed, for as long as the service runs.
    pub async fn at_each_change_of_python(&self, forget: impl Fn()) {
        loop {
            self.shared.python.settled().await.changed().await;
            forget();
        }
    }

    /// How many workers are in which state.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// Sandboxes that are ready now.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.shared.shelf.count()
    }
}

impl Keepers {
    /// Adds a keeper. It first waits for the end of the earlier keeper of the same number, which
    /// was told to stop.
    fn add(&mut self, shared: &Arc<Shared>, boot: Option<mpsc::Sender<Result<(), WorkerError>>>) {
        let number = self.workers;
        let stop = CancellationToken::new();
        let keeper = Keeper::new(
            Arc::clone(shared),
            number,
            Arc::clone(&self.ids),
            self.rewarm.subscribe(),
            stop.clone(),
            boot,
        );
        let previous = (number < self.tasks.len()).then(|| self.tasks.remove(number));
        let task = tokio::spawn(async move {
            if let Some(previous) = previous {
                // The task has no result, and a panic ends the whole service.
                let _ = previous.task.await;
            }
            keeper.keep().await;
        });
        self.tasks.insert(number, KeeperTask { task, stop });
        self.workers += 1;
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
