//! A host that is ready for workers, and the way from there to a service that could execute.

use super::ending::Ending;
use super::error::{BootError, system};
use super::{memory, privileges};
use crate::config::Config;
use crate::config::current::Current;
use crate::config::note::Note;
use crate::health::Health;
use crate::library_cache::LibraryCache;
use crate::pool::{self, CheckWorker, Pool};
use crate::request::admission::Admission;
use crate::service::Service;
use crate::spawner_link::SpawnerLink;
use crate::{metrics, scrape, startup_check};
use codejail_protocol::ScratchName;
use codejail_protocol::control::LayerState;
use codejail_protocol::spawn::{CgroupLimits, SpawnerConfig, SpawnerLayers, WorkerBounds};
use codejail_transport::PacketSocket;
use metrics_exporter_prometheus::PrometheusHandle;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use tokio::runtime::Handle;

/// A host on which workers can be started.
pub struct Host {
    /// The configuration of the start. A reload compares with it what may change.
    pub config: Arc<Config>,
    /// The current configuration.
    pub current: Arc<Current>,
    /// The way to the spawner.
    pub spawner: Arc<SpawnerLink>,
    /// Whether workers and sandboxes get uids of their own.
    pub own_uids: bool,
    /// Where the pipes of old runs are read.
    pub old_runs: Handle,
    /// What can end the service.
    pub ending: Ending,
    /// What `/metrics` shows.
    pub metrics: PrometheusHandle,
    tag: ([u8; 4], ScratchName),
}

impl Host {
    /// Starts to work with the spawner over `socket`.
    ///
    /// # Errors
    /// The spawner refuses the configuration, or something ended the service.
    pub async fn prepare(
        current: Arc<Current>,
        socket: PacketSocket,
        own_uids: bool,
        old_runs: Handle,
    ) -> Result<Self, BootError> {
        let ending = Ending::listen()?;
        let config = current.get();
        let metrics = metrics::install()?;
        scrape::begin();
        let tag = pool::new_tag().map_err(system("random bytes"))?;
        let orders = spawner_config(&config, tag.1.clone())?;
        let gone = ending.spawner_gone.clone();
        let connecting = async { Ok(SpawnerLink::connect(socket, orders, gone).await?) };
        let spawner = ending.unless(connecting).await?;
        Ok(Self {
            config,
            current,
            spawner,
            own_uids,
            old_runs,
            ending,
            metrics,
            tag,
        })
    }

    /// The states of the layers that are the same for all workers, and the bounds of new workers.
    #[must_use]
    pub fn layers(&self, config: &Config) -> Vec<LayerState> {
        let mut layers = vec![privileges::layer(self.own_uids)];
        layers.extend_from_slice(self.spawner.layers());
        for layer in layers.iter_mut().filter(|layer| layer.on) {
            if let Some(bounds) = self.bounds(config, &layer.layer) {
                layer.detail = format!("{}; {bounds}", layer.detail);
            }
        }
        layers
    }

    fn bounds(&self, config: &Config, layer: &str) -> Option<String> {
        let bound = |number: u64| match number {
            0 => "none".to_owned(),
            number => number.to_string(),
        };
        match layer {
            "mounts" => Some(format!(
                "{} bytes and {} files for each sandbox",
                config.scratch_bytes_max, config.scratch_files_max
            )),
            "cgroup" if self.spawner.cgroup_bounds() => Some(format!(
                "memory.max {}, pids.max {}",
                bound(config.cgroup.memory_bytes_max),
                bound(config.cgroup.pids_max)
            )),
            _ => None,
        }
    }

    /// Warnings about this host, for the operator. They stop no service.
    #[must_use]
    pub fn notes(&self, config: &Config, workers: usize) -> Vec<Note> {
        let layers = self.spawner.layers();
        let cgroup = layers.iter().find(|layer| layer.layer == "cgroup");
        let unbounded = cgroup.filter(|_| !self.spawner.cgroup_bounds());
        let unbounded = unbounded.map(|layer| layer.detail.as_str());
        let memory = memory::note(config, workers, unbounded);
        let warnings = self.spawner.warnings().iter().cloned();
        warnings.chain(memory).map(Note::Warning).collect()
    }

    /// Whether a cgroup bounds the memory of a worker and its sandboxes.
    #[must_use]
    pub fn bounds_memory(&self, config: &Config) -> bool {
        self.spawner.cgroup_bounds() && config.cgroup.memory_bytes_max != 0
    }

    /// The service that answers requests. It has no pool yet, and refuses to execute.
    #[must_use]
    pub fn service(&self) -> Service {
        let health = Health::default();
        health.set_layers(self.layers(&self.config));
        health.set_warnings(self.spawner.warnings());
        Service {
            admission: Arc::new(Admission::new(&self.config)),
            libraries: Arc::new(LibraryCache::new(Arc::clone(&self.current))),
            config: Arc::clone(&self.current),
            pool: Arc::new(OnceLock::new()),
            drain: self.ending.drain.clone(),
            health: Arc::new(health),
            signals: Arc::clone(&self.ending.signals),
            bodies: Arc::default(),
            pace: Arc::default(),
        }
    }

    /// Starts the pool, and runs the service's own checks. Executions are refused until these and
    /// the checks of a worker have passed.
    ///
    /// # Errors
    /// The first worker could not be started.
    pub async fn boot(&self, service: &Service) -> Result<(), BootError> {
        if self.config.python.hash_seed.fixed().is_none() {
            tracing::info!(
                event = "hash_seed_random",
                "python.hash_seed = \"random\": each worker has a hash seed of its own, so code \
                 that uses a hash gets other values in other workers"
            );
        }
        let current = Arc::clone(&service.config);
        let health = Arc::clone(&service.health);
        let spawner = Arc::clone(&self.spawner);
        let (pool, own) = tokio::join!(
            Pool::start(
                current,
                health,
                spawner,
                self.tag.clone(),
                self.own_uids,
                check_worker(),
                self.old_runs.clone()
            ),
            startup_check::of_service(&self.config),
        );
        // This is the only place that sets it, and it comes before executing can be safe.
        let pool = pool?;
        let libraries = Arc::clone(&service.libraries);
        let (config, watching) = (Arc::clone(&service.config), pool.clone());
        tokio::spawn(async move {
            // The bytecode was made by another Python.
            let forget = || libraries.reset(config.get().library_cache.bytes_max);
            watching.at_each_change_of_python(forget).await;
        });
        let _ = service.pool.set(pool);
        service.health.own_checked(own);
        Ok(())
    }
}

/// The function with the checks: they need requests and answers, which the pool does not know.
fn check_worker() -> CheckWorker {
    CheckWorker(Box::new(|worker, shelf, config| {
        Box::pin(async move { startup_check::of_worker(worker, &shelf, &config).await })
    }))
}

fn spawner_config(config: &Config, scratch_tag: ScratchName) -> Result<SpawnerConfig, BootError> {
    Ok(SpawnerConfig {
        python_bin: config.python.bin.clone(),
        worker_module: worker_module(config).map_err(system("find the worker module"))?,
        env: config.sandbox_env(),
        hash_seed: config.python.hash_seed.fixed(),
        scratch_root: config.sandbox.scratch_dir.clone(),
        scratch_tag,
        uid_base: config.sandbox.uid_base,
        // The range was checked: it ends below 2^32.
        uid_count: u32::try_from(config.uid_count()).unwrap_or(u32::MAX),
        uids_per_worker: u32::try_from(config.uids_per_worker()).unwrap_or(u32::MAX),
        shares_uids: config.is_tool,
        read_paths: config.read_paths(),
        bounds: worker_bounds(config),
        layers: SpawnerLayers {
            namespaces: config.layers.namespaces,
            mounts: config.layers.mounts,
            cgroup: config.layers.cgroup,
            apparmor: config.layers.apparmor,
        },
    })
}

/// The bounds of a worker together with its sandboxes.
#[must_use]
pub fn worker_bounds(config: &Config) -> WorkerBounds {
    WorkerBounds {
        scratch_bytes_max: config.scratch_bytes_max,
        scratch_files_max: config.scratch_files_max,
        cgroup: CgroupLimits {
            memory_bytes_max: config.cgroup.memory_bytes_max,
            pids_max: config.cgroup.pids_max,
        },
    }
}

/// The path of the worker module. The module of the same build lies beside the executable.
fn worker_module(config: &Config) -> io::Result<PathBuf> {
    if let Some(path) = &config.python.worker_module {
        return Ok(path.clone());
    }
    let executable = std::env::current_exe()?;
    Ok(executable.with_file_name("libcodejail_worker.so"))
}
