//! A host made ready for workers, and what it takes from there to a service that could execute.

use super::ending::Ending;
use super::error::{BootError, system};
use super::privileges;
use crate::config::Config;
use crate::config::current::Current;
use crate::health::Health;
use crate::library_cache::LibraryCache;
use crate::pool::{self, CheckWorker, Pool};
use crate::request::admission::Admission;
use crate::service::Service;
use crate::spawner_link::SpawnerLink;
use crate::{metrics, startup_check};
use codejail_protocol::ScratchName;
use codejail_protocol::control::LayerState;
use codejail_protocol::spawn::{CgroupLimits, SpawnerConfig, SpawnerLayers};
use codejail_transport::PacketSocket;
use metrics_exporter_prometheus::PrometheusHandle;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// A host on which workers can be started.
pub struct Host {
    /// The configuration.
    pub config: Arc<Config>,
    /// The way to the spawner.
    pub spawner: Arc<SpawnerLink>,
    /// Whether workers and sandboxes get uids of their own.
    pub own_uids: bool,
    /// What became of the layers that are the same for all workers.
    pub layers: Vec<LayerState>,
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
        config: Config,
        socket: PacketSocket,
        own_uids: bool,
    ) -> Result<Self, BootError> {
        let ending = Ending::listen()?;
        let metrics = metrics::install()?;
        let tag = pool::new_tag().map_err(system("random bytes"))?;
        let orders = spawner_config(&config, tag.1.clone())?;
        let gone = ending.spawner_gone.clone();
        let connecting = async { Ok(SpawnerLink::connect(socket, orders, gone).await?) };
        let spawner = ending.unless(connecting).await?;
        let mut layers = vec![privileges::layer(own_uids)];
        layers.extend_from_slice(spawner.layers());
        Ok(Self {
            config: Arc::new(config),
            spawner,
            own_uids,
            layers,
            ending,
            metrics,
            tag,
        })
    }

    /// What answers requests; it has no pool yet and refuses to execute.
    #[must_use]
    pub fn service(&self) -> Service {
        let health = Health::default();
        health.set_layers(self.layers.clone());
        Service {
            admission: Arc::new(Admission::new(&self.config)),
            config: Arc::new(Current::new(Arc::clone(&self.config))),
            pool: Arc::new(OnceLock::new()),
            health: Arc::new(health),
            bodies: Arc::default(),
            pace: Arc::default(),
            libraries: Arc::new(LibraryCache::new(self.config.library_cache.bytes_max)),
        }
    }

    /// Starts the pool and runs the service's own checks; executions are refused until these and a
    /// worker's have passed.
    ///
    /// # Errors
    /// The first worker could not be started.
    pub async fn boot(&self, service: &Service) -> Result<(), BootError> {
        let configs = (Arc::clone(&self.config), Arc::clone(&service.config));
        let health = Arc::clone(&service.health);
        let spawner = Arc::clone(&self.spawner);
        let (pool, own) = tokio::join!(
            Pool::start(
                configs,
                health,
                spawner,
                self.tag.clone(),
                self.own_uids,
                check_worker()
            ),
            startup_check::of_service(&self.config),
        );
        // It is set once, here, and before anything is safe.
        let _ = service.pool.set(pool?);
        service.health.own_checked(own);
        Ok(())
    }
}

/// The pool knows no request and no answer; the checks need both.
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
        scratch_root: config.sandbox.scratch_dir.clone(),
        scratch_tag,
        uid_base: config.sandbox.uid_base,
        // Checked to end below 2^32.
        uid_count: u32::try_from(config.uid_count()).unwrap_or(u32::MAX),
        uids_per_worker: u32::try_from(config.uids_per_worker()).unwrap_or(u32::MAX),
        read_paths: config.read_paths(),
        scratch_bytes_max: config.scratch_bytes_max,
        scratch_files_max: config.scratch_files_max,
        cgroup: CgroupLimits {
            memory_bytes_max: config.cgroup.memory_bytes_max,
            pids_max: config.cgroup.pids_max,
        },
        layers: SpawnerLayers {
            namespaces: config.layers.namespaces,
            mounts: config.layers.mounts,
            cgroup: config.layers.cgroup,
            apparmor: config.layers.apparmor,
        },
    })
}

/// The module of the same build lies beside the executable.
fn worker_module(config: &Config) -> io::Result<PathBuf> {
    if let Some(path) = &config.python.worker_module {
        return Ok(path.clone());
    }
    let executable = std::env::current_exe()?;
    Ok(executable.with_file_name("libcodejail_worker.so"))
}
