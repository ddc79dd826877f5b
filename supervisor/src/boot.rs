//! From a configuration to a service that could execute: spawner, privileges, runtime, pool, safety
//! checks. `serve`, `check` and `run` all start here, so none of them is less confined than another.

use crate::admission::Admission;
use crate::code_exec::Service;
use crate::config::Config;
use crate::health::Health;
use crate::library_cache::LibraryCache;
use crate::pool::{self, Pool, WorkerError};
use crate::privileges::{self, PrivilegeError};
use crate::reload::Current;
use crate::spawner_link::{SpawnerLink, SpawnerLinkError};
use crate::{metrics, startup_check};
use codejail_protocol::ScratchName;
use codejail_protocol::control::LayerState;
use codejail_protocol::spawn::{CgroupLimits, SpawnerConfig, SpawnerLayers};
use codejail_transport::PacketSocket;
use metrics_exporter_prometheus::PrometheusHandle;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Why a service could not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// It can't run as whom it was started.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// The spawner could not be started or worked with.
    #[error(transparent)]
    Spawner(#[from] SpawnerLinkError),
    /// The first worker did not start: a service that cannot boot stops instead of looping.
    #[error("the first worker can't be started: {0}")]
    Worker(#[from] WorkerError),
    /// The address can't be listened on.
    #[error("bind = {0}: {1}")]
    Bind(std::net::SocketAddr, #[source] io::Error),
    /// The system refused something that has no reason to fail.
    #[error("{0}: {1}")]
    System(&'static str, #[source] io::Error),
    /// Metrics could not be set up.
    #[error("metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// A signal came before a single run or check was done.
    #[error("interrupted")]
    Interrupted,
}

impl BootError {
    /// By sysexits(3): EX_CONFIG for what a configuration or a host must change, EX_UNAVAILABLE when
    /// it cannot boot, EX_TEMPFAIL if it was told to stop, EX_SOFTWARE for the rest.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Privileges(_) | Self::Spawner(SpawnerLinkError::Configure(_)) => 78,
            Self::Worker(_) | Self::Bind(..) => 69,
            Self::Interrupted => 75,
            _ => 70,
        }
    }
}

/// How long the spawner may at least take to kill and remove everything at the end, however little
/// `graceful_timeout_ms` is: it takes some 50 ms.
const SPAWNER_END_MIN: Duration = Duration::from_secs(1);

/// Logs go to standard error, filtered by `RUST_LOG`.
pub fn log_to_stderr(default_filter: &str) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default_filter));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .init();
}

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

/// Runs `job` on a host made ready for it. When this returns no process and no directory stays, unless
/// the spawner itself was killed: then directories do.
///
/// # Errors
/// The host could not be made ready, or lost its spawner; or the job's error.
pub fn run<T>(
    config: Config,
    job: impl AsyncFnOnce(Host) -> Result<T, BootError>,
) -> Result<T, BootError> {
    let own_uids = privileges::own_uids(config.layers.uid)?;
    let end_max = Duration::from_millis(config.graceful_timeout_ms).max(SPAWNER_END_MIN);
    // First of all, while this is root and has one thread.
    let (socket, spawner) = start_spawner()?;
    let result = privileges::become_app_user(&config)
        .map_err(BootError::from)
        .and_then(|()| in_runtime(config, socket, own_uids, end_max, job));
    // The runtime and with it the socket are gone: the spawner removes all there is, and ends.
    let ended = wait_for_spawner(spawner, end_max);
    match (result, ended) {
        (Ok(value), Ok(())) => Ok(value),
        // That it was told to end is no news; that it could not is.
        (Ok(_) | Err(BootError::Interrupted), Err(error)) => Err(error),
        (Err(error), _) => Err(error),
    }
}

/// Waits for the spawner's end, and whether it was a good one. A spawner that is stopped or stuck can't
/// be waited for, and must not be killed either, where that could be done at all: it alone can remove
/// what there is, and does so when it goes on, since its socket is closed.
fn wait_for_spawner(mut spawner: Child, longest: Duration) -> Result<(), BootError> {
    let (tell, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(spawner.wait()));
    let status = match ended.recv_timeout(longest) {
        Ok(status) => status.map_err(system("wait for the spawner"))?,
        Err(_) => {
            let error = SpawnerLinkError::Stuck(longest);
            tracing::error!(event = "spawner_stuck", "{error}");
            return Err(error.into());
        }
    };
    if status.success() {
        return Ok(());
    }
    let error = io::Error::other(format!("it ended with {status}"));
    Err(BootError::System("the spawner", error))
}

/// Starts the spawner: this executable again, with its end of the socket as standard input.
fn start_spawner() -> Result<(PacketSocket, Child), BootError> {
    let (ours, theirs) = PacketSocket::pair()
        .map_err(io::Error::from)
        .map_err(system("socketpair"))?;
    let executable = std::env::current_exe().map_err(system("find this executable"))?;
    let child = Command::new(executable)
        .arg("spawner")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()
        .map_err(system("start the spawner"))?;
    Ok((ours, child))
}

fn in_runtime<T>(
    config: Config,
    socket: PacketSocket,
    own_uids: bool,
    end_max: Duration,
    job: impl AsyncFnOnce(Host) -> Result<T, BootError>,
) -> Result<T, BootError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(system("start the runtime"))?;
    let result = runtime.block_on(async {
        let host = Host::prepare(config, socket, own_uids).await?;
        job(host).await
    });
    // Dropping it drops every task, and with the last of them the spawner's socket.
    runtime.shutdown_timeout(end_max);
    result
}

impl Host {
    async fn prepare(
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
            Pool::start(configs, health, spawner, self.tag.clone(), self.own_uids),
            startup_check::of_service(&self.config),
        );
        // It is set once, here, and before anything is safe.
        let _ = service.pool.set(pool?);
        service.health.own_checked(own);
        Ok(())
    }
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

/// What can end the service.
pub struct Ending {
    /// Stop accepting, finish what runs.
    pub drain: CancellationToken,
    /// Don't even finish.
    pub quick: CancellationToken,
    /// There is no service without its spawner.
    pub spawner_gone: CancellationToken,
}

impl Ending {
    /// Listens to signals, as gunicorn does: TERM drains, INT and QUIT end at once.
    fn listen() -> Result<Self, BootError> {
        let ending = Self {
            drain: CancellationToken::new(),
            quick: CancellationToken::new(),
            spawner_gone: CancellationToken::new(),
        };
        for (kind, quick) in [
            (SignalKind::terminate(), false),
            (SignalKind::interrupt(), true),
            (SignalKind::quit(), true),
        ] {
            let mut signals = signal(kind).map_err(system("sigaction"))?;
            let (drain, at_once) = (ending.drain.clone(), ending.quick.clone());
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    if quick {
                        at_once.cancel();
                    }
                    drain.cancel();
                }
            });
        }
        Ok(ending)
    }

    /// Waits for `work`, unless something ends it first.
    ///
    /// # Errors
    /// A signal came, or the spawner went; or the work's error.
    pub async fn unless<T>(
        &self,
        work: impl Future<Output = Result<T, BootError>>,
    ) -> Result<T, BootError> {
        tokio::select! {
            done = work => done,
            () = self.drain.cancelled() => Err(BootError::Interrupted),
            () = self.spawner_gone.cancelled() => Err(SpawnerLinkError::Gone.into()),
        }
    }
}

/// Names the step of a system's error.
pub fn system(what: &'static str) -> impl FnOnce(io::Error) -> BootError {
    move |error| BootError::System(what, error)
}
