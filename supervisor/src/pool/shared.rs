//! What the workers of a pool share.

use super::counts::Counts;
use super::ready::Shelf;
use super::slots::{Slot, Slots};
use crate::config::Config;
use crate::config::current::Current;
use crate::health::{Check, Health};
use crate::python_files::PythonFiles;
use crate::spawner_link::SpawnerLink;
use codejail_protocol::ScratchName;
use codejail_protocol::control::Hello;
use codejail_protocol::spawn::WorkerId;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::io::{self, Read};
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use tokio::runtime::Handle;

type Checking = Pin<Box<dyn Future<Output = Vec<Check>> + Send>>;
type CheckFunction = dyn Fn(WorkerId, Arc<Shelf>, Arc<Config>) -> Checking + Send + Sync;

/// Runs the safety checks in sandboxes of a new worker, which lie on a shelf of its own.
pub struct CheckWorker(pub Box<CheckFunction>);

impl std::fmt::Debug for CheckWorker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("CheckWorker")
    }
}

/// The pool's common part.
#[derive(Debug)]
pub struct Shared {
    /// The current configuration. Keys that need a restart never change in it.
    pub current: Arc<Current>,
    /// Most workers: as many as uids were set aside for when the service started.
    pub workers_max: usize,
    /// Gets the result of the checks of each worker.
    pub health: Arc<Health>,
    /// The way to the spawner.
    pub spawner: Arc<SpawnerLink>,
    /// Ready sandboxes.
    pub shelf: Arc<Shelf>,
    /// The watched files that workers import.
    pub python: Arc<PythonFiles>,
    /// The places of workers.
    pub slots: Arc<Slots>,
    /// The tag of this service's directories, as random bytes.
    pub tag: [u8; 4],
    /// Names that are in use, so that none is given out twice.
    pub names: Mutex<HashSet<ScratchName>>,
    /// The `Hello` of the first warm worker; the others do not differ.
    pub first_worker: OnceLock<Hello>,
    /// The modules that the last warm worker could not preload, with the reasons, so that the log
    /// names each once.
    pub preload_failed: Mutex<Vec<(String, String)>>,
    /// Whether workers and sandboxes get uids of their own.
    pub own_uids: bool,
    /// Where the pipes of old runs are read.
    pub old_runs: Handle,
    /// What a new worker must pass before it joins.
    pub check_worker: CheckWorker,
    /// How many workers are in which state.
    pub counts: Arc<Counts>,
}

/// The place of one sandbox after the other.
#[derive(Debug)]
pub struct Seat {
    /// The uid of its sandboxes.
    pub uid: Option<u32>,
    /// Its directory; none where each sandbox makes a new one.
    pub dir: Option<ScratchName>,
}

impl Shared {
    /// The failures that differ from those of the last worker; none if nothing has changed.
    pub fn new_preload_failures(&self, failed: &[(String, String)]) -> Vec<(String, String)> {
        let mut known = self.preload_failed.lock();
        let mut news = failed.to_vec();
        news.retain(|failure| !known.contains(failure));
        *known = failed.to_vec();
        news
    }

    /// A new name for a directory.
    pub fn scratch_name(&self) -> io::Result<ScratchName> {
        let mut random = [0; 8];
        random[..4].copy_from_slice(&self.tag);
        // Some thousands of 1.8 million names are in use at most, so this ends soon.
        loop {
            fill_random(&mut random[4..])?;
            let name = ScratchName::from_random(random);
            if self.names.lock().insert(name.clone()) {
                return Ok(name);
            }
        }
    }

    /// The places of a worker's sandboxes. Where sandboxes have file systems of their own, each
    /// keeps its name as long as the worker lives.
    pub fn seats(&self, uids: Option<(u32, u32)>) -> io::Result<Vec<Seat>> {
        let seat = |index: usize| {
            let uid = uids.map(|(first, _)| first + u32::try_from(index).unwrap_or(u32::MAX));
            let named = self.spawner.seats().then(|| self.scratch_name());
            Ok(Seat {
                uid,
                dir: named.transpose()?,
            })
        };
        (0..self.current.get().sandboxes_max()).map(seat).collect()
    }

    /// Frees a name whose directory is gone.
    pub fn forget_name(&self, name: &ScratchName) {
        self.names.lock().remove(name);
    }

    /// The uids of the worker on `slot`: its own first, then its sandboxes'.
    pub fn worker_uids(&self, slot: &Slot) -> Option<Range<u32>> {
        let config = self.current.get();
        let count = config.uids_per_worker();
        let first = u64::from(config.sandbox.uid_base) + slot.number() as u64 * count;
        // The configuration's check bounds the last of them.
        let (first, end) = (
            u32::try_from(first).ok()?,
            u32::try_from(first + count).ok()?,
        );
        self.own_uids.then_some(first..end)
    }

    /// After how many executions a worker retires: `max_requests` and a random part of the jitter.
    /// None means never.
    pub fn executions(&self) -> io::Result<Option<u64>> {
        let config = self.current.get();
        if config.max_requests == 0 {
            return Ok(None);
        }
        let mut random = [0; 8];
        fill_random(&mut random)?;
        let jitter = u64::from_ne_bytes(random) % (config.max_requests_jitter + 1);
        Ok(Some(config.max_requests + jitter))
    }
}

/// The name of a warm image: Python's version, and a number made from the list of preloaded modules
/// and of those that could not be imported. Workers with the same version and modules have the same
/// name.
pub fn image_name(hello: &Hello, preload: &[String]) -> Arc<str> {
    let failed = hello.preload_failed.iter().map(|(module, _)| module);
    let mut hash = Sha256::new();
    for module in preload.iter().chain(failed) {
        hash.update(module);
        hash.update([0]);
    }
    let hash = hash.finalize();
    let [a, b, c, ..] = hash[..] else {
        return Arc::from(hello.python.as_str());
    };
    // The version is cut, since `sys.version` may be of any length.
    let version: String = hello.python.chars().take(20).collect();
    Arc::from(format!("{version}-{a:02x}{b:02x}{c:02x}"))
}

/// Fills with the kernel's random bytes, random(4).
pub fn fill_random(bytes: &mut [u8]) -> io::Result<()> {
    std::fs::File::open("/dev/urandom")?.read_exact(bytes)
}
