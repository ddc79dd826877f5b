//! `codejail serve`: listen, boot, serve until told to end, drain.

use super::listening;
use crate::boot::{self, BootError, Ending, Host, system};
use crate::config::Config;
use crate::config::load::Sources;
use crate::config::settings::Settings;
use crate::http::connections::{self, ConnectionBounds};
use crate::http::router;
use crate::metrics;
use crate::reload::{self, say_payloads};
use crate::request::finished::begin_keeping;
use crate::service::Service;
use crate::service_manager::{Notifier, Passed, keep_told, tell_ready};
use nix::sys::signal::{SigSet, Signal as Number};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
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

/// Keeps the signals of `OBEYED` waiting. The kernel delivers them when the service is able to
/// obey. Otherwise they would end or stop a process that has no handlers yet. This must be called
/// while the process has one thread: threads that are made later hold the signals too, and so does
/// the spawner until it has handlers.
///
/// # Errors
/// The system refuses a signal mask. It has no reason to.
pub fn hold_signals() -> Result<(), BootError> {
    let held = SigSet::from_iter(OBEYED).thread_block();
    held.map_err(|errno| system("pthread_sigmask")(errno.into()))
}

/// Runs the service to its end.
///
/// # Errors
/// It could not start, or lost its spawner.
pub fn run(config: Config, settings: Settings, sources: &Sources) -> Result<(), BootError> {
    say_start(&config, sources);
    let result = match listen_and_serve(config, settings, sources) {
        // The service was told to end before it served, and did so.
        Err(BootError::Interrupted) => Ok(()),
        done => done,
    };
    match &result {
        Ok(()) => tracing::info!(event = "service_ended", "ended"),
        Err(error) => tracing::error!(event = "service_failed", "ended: {error}"),
    }
    result
}

fn listen_and_serve(
    config: Config,
    settings: Settings,
    sources: &Sources,
) -> Result<(), BootError> {
    // This is done while the process has one thread and no child.
    let passed = Passed::take()?;
    boot::run(config, async move |host: Host| {
        host.current.set_settings(settings);
        serve(host, sources, passed).await
    })
}

/// Logs which build starts, how it was configured, and what executions may use.
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

async fn serve(host: Host, sources: &Sources, mut passed: Passed) -> Result<(), BootError> {
    let mut signals = ServiceSignals::listen()?;
    let notifier = Arc::new(Notifier::of_process());
    let accepts = CancellationToken::new();
    let listener = listening::for_api(&host.config, &mut passed, &accepts).await?;
    let for_metrics = listening::for_metrics(&host.config, &mut passed).await?;
    passed.none_left()?;
    let service = host.service();
    if let Some(listener) = for_metrics {
        serve_metrics(&host, &service, listener);
    }
    let spawner = Arc::clone(&host.spawner);
    tokio::spawn(keep_told(Arc::clone(&notifier), service.clone(), spawner));
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
    let http = connections::serve(
        listener,
        router,
        Arc::clone(&service.config),
        bounds,
        ending.drain.clone(),
    );
    let mut http = tokio::spawn(once_it_accepts(http, accepts.clone(), ending.drain.clone()));
    if let Err(error) = ending.unless(host.boot(&service)).await {
        notifier.stopping();
        return Err(error);
    }
    let once_safe = say_ready_once_safe(service.clone(), Arc::clone(&notifier), accepts);
    tokio::spawn(once_safe);
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
            obey(signal, sources, &host, &service, &notifier).await;
            Ok(())
        };
        match ending.unless(step).await {
            Ok(()) => {}
            Err(BootError::Interrupted) => break,
            Err(error) => return Err(error),
        }
    }
    notifier.stopping();
    say_draining(&service, ending.quick.is_cancelled());
    drain(&service, ending, &mut http).await;
    Ok(())
}

/// Waits for what still runs, as long as the configuration says.
async fn drain(service: &Service, ending: &Ending, http: &mut JoinHandle<()>) {
    let graceful = Duration::from_millis(service.config.get().graceful_timeout_ms);
    tokio::select! {
        () = ending.quick.cancelled() => {}
        drained = timeout(graceful, http) => {
            if drained.is_err() {
                tracing::warn!(
                    event = "drain_timed_out",
                    ?graceful,
                    "requests still ran when the graceful timeout was over"
                );
            }
        }
    }
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

/// Logs how much is still to finish. If the end comes `at_once`, nothing is.
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

/// Answers on the address of metrics to the very end, also while requests drain.
fn serve_metrics(host: &Host, service: &Service, listener: TcpListener) {
    begin_keeping();
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
}

/// Serves as soon as the service may accept. If it is to end before, it never serves.
async fn once_it_accepts(
    http: impl Future<Output = ()>,
    accepts: CancellationToken,
    drain: CancellationToken,
) {
    tokio::select! {
        biased;
        () = drain.cancelled() => {}
        () = accepts.cancelled() => http.await,
    }
}

/// Tells the service manager that the service is up. A service that is not `enabled` is up as well.
async fn say_ready_once_safe(
    service: Service,
    notifier: Arc<Notifier>,
    accepts: CancellationToken,
) {
    tokio::select! {
        biased;
        () = service.drain.cancelled() => {}
        () = service.health.until_safe() => {
            accepts.cancel();
            tell_ready(&notifier, &service);
            tracing::info!(event = "service_ready", "a worker has passed its checks and serves");
        }
    }
}

async fn obey(
    signal: ServiceSignal,
    sources: &Sources,
    host: &Host,
    service: &Service,
    notifier: &Notifier,
) {
    match signal {
        ServiceSignal::Reload => {
            let was_up = notifier.reloading();
            reload::reload(sources, host, service).await;
            if was_up {
                tell_ready(notifier, service);
            }
        }
        ServiceSignal::AddWorker => reload::add_workers(service, 1),
        ServiceSignal::RemoveWorker => reload::add_workers(service, -1),
        ServiceSignal::ReopenLogs => {
            tracing::info!(
                event = "log_reopen_ignored",
                "USR1: the log is standard error, so there is no file to open again"
            );
        }
        ServiceSignal::Upgrade => {
            tracing::warn!(
                event = "upgrade_ignored",
                "USR2: the service does not start a second one beside itself; restart it to \
                 upgrade it"
            );
        }
        // A terminal sends it with each change of its size. gunicorn logs this line for debugging
        // only, too.
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

/// The same signals as gunicorn's. Those that come before the service is up wait until it is.
struct ServiceSignals {
    hup: Signal,
    ttin: Signal,
    ttou: Signal,
    usr1: Signal,
    usr2: Signal,
    winch: Signal,
}

impl ServiceSignals {
    /// Listens, and lets through the signals that were held. The calling thread must live as long
    /// as the service: the kernel delivers the signals to it, since all other threads hold them.
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
