//! `codejail serve`: listen, boot, serve until told to end, drain.

use crate::boot::{self, BootError, Host, system};
use crate::config::Config;
use crate::config::load::Sources;
use crate::http::connections::{self, ConnectionBounds};
use crate::http::router;
use crate::metrics;
use crate::reload::{self, say_payloads};
use crate::service::Service;
use nix::sys::signal::{SigSet, Signal as Number};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Signals that a running service obeys. Those that end it are in `boot/ending.rs`.
const OBEYED: [Number; 6] = [
    Number::SIGHUP,
    Number::SIGTTIN,
    Number::SIGTTOU,
    Number::SIGUSR1,
    Number::SIGUSR2,
    Number::SIGWINCH,
];

/// Keeps the signals of `OBEYED` waiting: the kernel delivers them when the service is able to obey.
/// Without this they would end or stop a process that has no handlers yet. It must be called while the
/// process has one thread: threads that are made later hold them too, as the spawner does until it has
/// handlers.
///
/// # Errors
/// The system refuses a signal mask, which it has no reason to.
pub fn hold_signals() -> Result<(), BootError> {
    let held = SigSet::from_iter(OBEYED).thread_block();
    held.map_err(|errno| system("pthread_sigmask")(errno.into()))
}

/// Runs the service to its end.
///
/// # Errors
/// It could not start, or lost its spawner.
pub fn run(config: Config, sources: &Sources) -> Result<(), BootError> {
    say_start(&config, sources);
    let result = match boot::run(config, async |host| serve(host, sources).await) {
        // Told to end before it served: that is what it did.
        Err(BootError::Interrupted) => Ok(()),
        done => done,
    };
    match &result {
        Ok(()) => tracing::info!(event = "service_ended", "ended"),
        Err(error) => tracing::error!(event = "service_failed", "ended: {error}"),
    }
    result
}

/// Which build starts, what it was told, and what executions may use.
fn say_start(config: &Config, sources: &Sources) {
    let version = env!("CARGO_PKG_VERSION");
    let limits = &config.limits;
    tracing::info!(
        event = "service_started",
        version,
        sources = sources.told(),
        workers = config.workers,
        CPU = limits.CPU,
        REALTIME = limits.REALTIME,
        VMEM = limits.VMEM,
        FSIZE = limits.FSIZE,
        NPROC = limits.NPROC,
        limit_overrides = config.limit_overrides.len(),
        "codejail {version} starts"
    );
}

async fn serve(host: Host, sources: &Sources) -> Result<(), BootError> {
    let mut signals = ServiceSignals::listen()?;
    let bind = host.config.bind;
    let listener = bind_to(bind).await?;
    let address = listener.local_addr().map_err(system("getsockname"))?;
    tracing::info!(event = "service_listening", "listening on {address}");
    let service = host.service();
    serve_metrics(&host, &service).await?;
    say_payloads(&host.config);
    for note in host.notes(&host.config, host.config.workers) {
        note.log();
    }
    tokio::spawn(metrics::keep_up(host.metrics.clone()));
    let router = router::router(service.clone(), host.metrics.clone());
    let ending = &host.ending;
    let bounds = ConnectionBounds {
        connections_max: connections::connections_max(&host.config),
        are_counted: true,
    };
    let mut http = tokio::spawn(connections::serve(
        listener,
        router,
        Arc::clone(&service.config),
        bounds,
        ending.drain.clone(),
    ));
    ending.unless(host.boot(&service)).await?;
    if service.health.is_safe() && !host.config.enabled {
        tracing::warn!(
            event = "executions_disabled",
            "enabled = false: executions are refused until it is true"
        );
    }
    say_serving(&service);
    loop {
        let step = async {
            let signal = signals.next().await;
            service.signals.note(signal.number() as i32);
            obey(signal, sources, &host, &service).await;
            Ok(())
        };
        match ending.unless(step).await {
            Ok(()) => {}
            Err(BootError::Interrupted) => break,
            Err(error) => return Err(error),
        }
    }
    say_draining(&service, ending.quick.is_cancelled());
    let graceful = Duration::from_millis(service.config.get().graceful_timeout_ms);
    tokio::select! {
        () = ending.quick.cancelled() => {}
        drained = timeout(graceful, &mut http) => {
            if drained.is_err() {
                tracing::warn!(
                    event = "drain_timed_out",
                    ?graceful,
                    "requests still ran when the graceful timeout was over"
                );
            }
        }
    }
    Ok(())
}

fn say_serving(service: &Service) {
    tracing::info!(
        event = "service_serving",
        workers = service.health.workers(),
        executions_max = service.admission.now().busy_max,
        enabled = service.config.get().enabled,
        safe = service.health.is_safe(),
        "serving"
    );
}

/// How much there still is to finish; nothing of it is, where the end is to come `at_once`.
fn say_draining(service: &Service, at_once: bool) {
    let queue = service.admission.now();
    tracing::info!(
        event = "service_draining",
        executions = queue.busy,
        waiting = queue.waiting,
        at_once,
        "told to end: {} executions run, {} requests wait",
        queue.busy,
        queue.waiting
    );
}

/// Answers on the address of metrics, if there is one, to the very end: also while requests drain.
async fn serve_metrics(host: &Host, service: &Service) -> Result<(), BootError> {
    let Some(bind) = host.config.metrics.bind else {
        return Ok(());
    };
    let listener = bind_to(bind).await?;
    let address = listener.local_addr().map_err(system("getsockname"))?;
    tracing::info!(
        event = "metrics_listening",
        "metrics and health on {address}"
    );
    let router = router::metrics_router(service.clone(), host.metrics.clone());
    let config = Arc::clone(&service.config);
    let for_ever = CancellationToken::new();
    tokio::spawn(connections::serve(
        listener,
        router,
        config,
        connections::OF_METRICS,
        for_ever,
    ));
    Ok(())
}

async fn bind_to(address: SocketAddr) -> Result<TcpListener, BootError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| BootError::Bind(address, error))
}

async fn obey(signal: ServiceSignal, sources: &Sources, host: &Host, service: &Service) {
    match signal {
        ServiceSignal::Reload => reload::reload(sources, host, service).await,
        ServiceSignal::AddWorker => reload::add_workers(service, 1),
        ServiceSignal::RemoveWorker => reload::add_workers(service, -1),
        ServiceSignal::ReopenLogs => {
            tracing::info!(
                event = "log_reopen_ignored",
                "USR1: the log is standard error; nothing to reopen"
            );
        }
        ServiceSignal::Upgrade => {
            tracing::warn!(
                event = "upgrade_ignored",
                "USR2: no second service is started beside this one; restart it to upgrade it"
            );
        }
        // A terminal says it with each change of its size. gunicorn too has this line for debugging only.
        ServiceSignal::NewWindow => {
            tracing::debug!(event = "window_ignored", "WINCH: workers stay as they are");
        }
    }
}

/// What a signal can ask of a service that goes on.
enum ServiceSignal {
    Reload,
    AddWorker,
    RemoveWorker,
    ReopenLogs,
    Upgrade,
    NewWindow,
}

impl ServiceSignal {
    fn number(&self) -> Number {
        match self {
            Self::Reload => Number::SIGHUP,
            Self::AddWorker => Number::SIGTTIN,
            Self::RemoveWorker => Number::SIGTTOU,
            Self::ReopenLogs => Number::SIGUSR1,
            Self::Upgrade => Number::SIGUSR2,
            Self::NewWindow => Number::SIGWINCH,
        }
    }
}

/// The signals that gunicorn has for it. Those that come before the service is up wait until it is.
struct ServiceSignals {
    hup: Signal,
    ttin: Signal,
    ttou: Signal,
    usr1: Signal,
    usr2: Signal,
    winch: Signal,
}

impl ServiceSignals {
    /// Listens, and lets those come that were held. The calling thread must live as long as the service:
    /// the kernel delivers signals to it, since all other threads hold them.
    fn listen() -> Result<Self, BootError> {
        let listen =
            |number| signal(SignalKind::from_raw(number as i32)).map_err(system("sigaction"));
        let signals = Self {
            hup: listen(Number::SIGHUP)?,
            ttin: listen(Number::SIGTTIN)?,
            ttou: listen(Number::SIGTTOU)?,
            usr1: listen(Number::SIGUSR1)?,
            usr2: listen(Number::SIGUSR2)?,
            winch: listen(Number::SIGWINCH)?,
        };
        let let_come = SigSet::from_iter(OBEYED).thread_unblock();
        let_come.map_err(|errno| system("pthread_sigmask")(errno.into()))?;
        Ok(signals)
    }

    async fn next(&mut self) -> ServiceSignal {
        tokio::select! {
            Some(()) = self.hup.recv() => ServiceSignal::Reload,
            Some(()) = self.ttin.recv() => ServiceSignal::AddWorker,
            Some(()) = self.ttou.recv() => ServiceSignal::RemoveWorker,
            Some(()) = self.usr1.recv() => ServiceSignal::ReopenLogs,
            Some(()) = self.usr2.recv() => ServiceSignal::Upgrade,
            Some(()) = self.winch.recv() => ServiceSignal::NewWindow,
            // The streams end with the runtime.
            else => std::future::pending().await,
        }
    }
}
