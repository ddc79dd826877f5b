//! From a configuration to a service that could execute: spawner, privileges, runtime, pool, safety
//! checks. `serve`, `check` and `run` all start here, so none of them is less confined than another.

use crate::admission::Admission;
use crate::code_exec::Service;
use crate::config::Config;
use crate::health::Health;
use crate::pool::{self, Pool, WorkerError};
use crate::privileges::{self, PrivilegeError};
use crate::spawner_link::{SpawnerLink, SpawnerLinkError};
use crate::{metrics, startup_check};
use codejail_protocol::ScratchName;
use codejail_protocol::spawn::SpawnerConfig;
use codejail_transport::PacketSocket;
use metrics_exporter_prometheus::PrometheusHandle;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
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

/// How long the spawner may take to kill and remove everything at the end.
const SPAWNER_END_MAX: Duration = Duration::from_secs(60);

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
    // First of all, while this is root and has one thread.
    let (socket, mut spawner) = start_spawner()?;
    let result = privileges::become_app_user(&config)
        .map_err(BootError::from)
        .and_then(|()| in_runtime(config, socket, own_uids, job));
    // The runtime and with it the socket are gone: the spawner removes all there is, and ends.
    let status = spawner.wait().map_err(system("wait for the spawner"))?;
    let value = result?;
    ended_well(status)?;
    Ok(value)
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

fn ended_well(status: ExitStatus) -> Result<(), BootError> {
    if status.success() {
        return Ok(());
    }
    let error = io::Error::other(format!("it ended with {status}"));
    Err(BootError::System("the spawner", error))
}

fn in_runtime<T>(
    config: Config,
    socket: PacketSocket,
    own_uids: bool,
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
    runtime.shutdown_timeout(SPAWNER_END_MAX);
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
        let spawner = SpawnerLink::connect(socket, orders, ending.spawner_gone.clone()).await?;
        if !spawner.namespaces() {
            tracing::warn!("layer namespaces: this host gives none; workers share the host's");
        }
        for flaw in &spawner.apparmor().flaws {
            tracing::warn!("layer apparmor: {flaw}");
        }
        if !own_uids {
            tracing::warn!("layer uid: not started as root; sandboxes share the service's uid");
        }
        Ok(Self {
            config: Arc::new(config),
            spawner,
            own_uids,
            ending,
            metrics,
            tag,
        })
    }

    /// What answers requests; it has no pool yet and refuses to execute.
    #[must_use]
    pub fn service(&self) -> Service {
        let config = &self.config;
        Service {
            admission: Arc::new(Admission::new(
                config.workers * config.sandboxes_per_worker,
                config.queue_length_max,
                Duration::from_millis(config.queue_wait_max_ms),
            )),
            config: Arc::clone(config),
            pool: Arc::new(OnceLock::new()),
            health: Arc::new(Health::default()),
        }
    }

    /// Starts the pool and runs the safety checks; executions are refused until they have passed.
    ///
    /// # Errors
    /// The first worker could not be started.
    pub async fn boot(&self, service: &Service) -> Result<(), BootError> {
        let config = Arc::clone(&self.config);
        let spawner = Arc::clone(&self.spawner);
        let pool = Pool::start(config, spawner, self.tag.clone(), self.own_uids).await?;
        // It is set once, here.
        let _ = service.pool.set(pool);
        service.health.set(startup_check::run(service).await);
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
        namespaces: config.layers.namespaces,
        apparmor: config.layers.apparmor,
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
