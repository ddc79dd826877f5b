//! The service's life: spawner, privileges, listener, pool, startup check, serving, draining.

use crate::admission::Admission;
use crate::code_exec::Service;
use crate::config::Config;
use crate::health::Health;
use crate::pool::{self, Pool, WorkerError};
use crate::privileges::{self, PrivilegeError};
use crate::spawner_link::{SpawnerLink, SpawnerLinkError};
use crate::{http, metrics, startup_check};
use axum::serve::ListenerExt;
use codejail_protocol::ScratchName;
use codejail_protocol::spawn::SpawnerConfig;
use codejail_transport::PacketSocket;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Why the service ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It can't run as whom it was started.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// The spawner could not be started or worked with.
    #[error(transparent)]
    Spawner(#[from] SpawnerLinkError),
    /// The first worker did not start: a service that cannot boot stops instead of looping.
    #[error("the first worker can't be started: {0}")]
    Boot(#[from] WorkerError),
    /// The address can't be listened on.
    #[error("bind = {0}: {1}")]
    Bind(std::net::SocketAddr, #[source] io::Error),
    /// The system refused something that has no reason to fail.
    #[error("{0}: {1}")]
    System(&'static str, #[source] io::Error),
    /// Metrics could not be set up.
    #[error("metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

impl ServeError {
    /// By sysexits(3): EX_CONFIG for what a configuration or a host must change, EX_UNAVAILABLE when
    /// it cannot boot, EX_SOFTWARE for the rest.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Privileges(_) | Self::Spawner(SpawnerLinkError::Configure(_)) => 78,
            Self::Boot(_) | Self::Bind(..) => 69,
            _ => 70,
        }
    }
}

/// How long the spawner may take to kill and remove everything at the end.
const SPAWNER_END_MAX: Duration = Duration::from_secs(60);

/// Logs go to standard error, filtered by `RUST_LOG` (default `info`).
pub fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .init();
}

/// Runs the service to its end. No process and no directory of it stays, unless the spawner itself was
/// killed: then directories do.
///
/// # Errors
/// It could not start, or lost its spawner.
pub fn run(config: Config) -> Result<(), ServeError> {
    let own_uids = privileges::own_uids(config.layers.uid)?;
    // First of all, while this is root and has one thread.
    let (socket, mut spawner) = start_spawner()?;
    let result = privileges::become_app_user(&config)
        .map_err(ServeError::from)
        .and_then(|()| serve_in_runtime(config, socket, own_uids));
    // The runtime and with it the socket are gone: the spawner removes all there is, and ends.
    let status = spawner.wait().map_err(system("wait for the spawner"))?;
    result.and_then(|()| ended_well(status))
}

/// Starts the spawner: this executable again, with its end of the socket as standard input.
fn start_spawner() -> Result<(PacketSocket, Child), ServeError> {
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

fn ended_well(status: ExitStatus) -> Result<(), ServeError> {
    if status.success() {
        return Ok(());
    }
    let error = io::Error::other(format!("it ended with {status}"));
    Err(ServeError::System("the spawner", error))
}

fn serve_in_runtime(
    config: Config,
    socket: PacketSocket,
    own_uids: bool,
) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(system("start the runtime"))?;
    let result = runtime.block_on(serve(Arc::new(config), socket, own_uids));
    // Dropping it drops every task, and with the last of them the spawner's socket.
    runtime.shutdown_timeout(SPAWNER_END_MAX);
    result
}

async fn serve(
    config: Arc<Config>,
    socket: PacketSocket,
    own_uids: bool,
) -> Result<(), ServeError> {
    let ending = Ending::listen()?;
    let recorder = metrics::install()?;
    let tag = pool::new_tag().map_err(system("random bytes"))?;
    let spawner_config = spawner_config(&config, tag.1.clone())?;
    let spawner = SpawnerLink::connect(socket, spawner_config, ending.spawner_gone.clone()).await?;
    if !spawner.namespaces() {
        tracing::warn!("layer namespaces: this host gives none; workers share the host's");
    }
    if !own_uids {
        tracing::warn!("layer uid: not started as root; sandboxes share the service's uid");
    }
    let listener = TcpListener::bind(config.bind)
        .await
        .map_err(|error| ServeError::Bind(config.bind, error))?;
    let address = listener.local_addr().map_err(system("getsockname"))?;
    tracing::info!("listening on {address}");
    let wait_max = Duration::from_millis(config.queue_wait_max_ms);
    let executions_max = config.workers * config.sandboxes_per_worker;
    let service = Service {
        admission: Arc::new(Admission::new(
            executions_max,
            config.queue_length_max,
            wait_max,
        )),
        config,
        pool: Arc::new(OnceLock::new()),
        health: Arc::new(Health::default()),
    };
    let router = http::router(service.clone(), recorder);
    let listener = listener.tap_io(|stream| {
        // An answer is one small write: waiting to fill a segment would only delay it.
        let _ = stream.set_nodelay(true);
    });
    let drain = ending.drain.clone();
    let http = axum::serve(listener, router).with_graceful_shutdown(drain.cancelled_owned());
    let mut http = tokio::spawn(http.into_future());
    tokio::select! {
        booted = boot(&service, spawner, tag, own_uids) => booted?,
        () = ending.drain.cancelled() => return Ok(()),
        () = ending.spawner_gone.cancelled() => return Err(SpawnerLinkError::Gone.into()),
    }
    let graceful = Duration::from_millis(service.config.graceful_timeout_ms);
    tokio::select! {
        () = ending.drain.cancelled() => {}
        () = ending.spawner_gone.cancelled() => return Err(SpawnerLinkError::Gone.into()),
    }
    tokio::select! {
        () = ending.quick.cancelled() => {}
        drained = timeout(graceful, &mut http) => {
            if drained.is_err() {
                tracing::warn!(?graceful, "requests still ran when the graceful timeout was over");
            }
        }
    }
    Ok(())
}

/// Starts the pool and runs the safety checks; executions are refused until they have passed.
async fn boot(
    service: &Service,
    spawner: Arc<SpawnerLink>,
    tag: ([u8; 4], ScratchName),
    own_uids: bool,
) -> Result<(), WorkerError> {
    let pool = Pool::start(Arc::clone(&service.config), spawner, tag, own_uids).await?;
    // It is set once, here.
    let _ = service.pool.set(pool);
    service.health.set(startup_check::run(service).await);
    if service.health.is_safe() && !service.config.enabled {
        tracing::warn!("enabled = false: executions are refused until it is true");
    }
    Ok(())
}

fn spawner_config(config: &Config, scratch_tag: ScratchName) -> Result<SpawnerConfig, ServeError> {
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
struct Ending {
    /// Stop accepting, finish what runs.
    drain: CancellationToken,
    /// Don't even finish.
    quick: CancellationToken,
    /// There is no service without its spawner.
    spawner_gone: CancellationToken,
}

impl Ending {
    /// Listens to signals, as gunicorn does: TERM drains, INT and QUIT end at once.
    fn listen() -> Result<Self, ServeError> {
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
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> ServeError {
    move |error| ServeError::System(what, error)
}
