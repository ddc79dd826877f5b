//! `codejail serve`: listen, boot, serve until told to end, drain.

use crate::boot::{self, BootError, Host, system};
use crate::config::Config;
use crate::config::load::Sources;
use crate::http::{connections, router};
use crate::metrics;
use crate::reload;
use crate::service::Service;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

/// Runs the service to its end.
///
/// # Errors
/// It could not start, or lost its spawner.
pub fn run(config: Config, sources: &Sources) -> Result<(), BootError> {
    match boot::run(config, async |host| serve(host, sources).await) {
        // Told to end before it served: that is what it did.
        Err(BootError::Interrupted) => Ok(()),
        done => done,
    }
}

async fn serve(host: Host, sources: &Sources) -> Result<(), BootError> {
    let mut signals = ServiceSignals::listen()?;
    let bind = host.config.bind;
    let listener = TcpListener::bind(bind)
        .await
        .map_err(|error| BootError::Bind(bind, error))?;
    let address = listener.local_addr().map_err(system("getsockname"))?;
    tracing::info!(event = "service_listening", "listening on {address}");
    let service = host.service();
    tokio::spawn(metrics::keep_up(host.metrics.clone()));
    let router = router::router(service.clone(), host.metrics.clone());
    let ending = &host.ending;
    let connections_max = connections::connections_max(&host.config);
    let mut http = tokio::spawn(connections::serve(
        listener,
        router,
        Arc::clone(&service.config),
        connections_max,
        ending.drain.clone(),
    ));
    ending.unless(host.boot(&service)).await?;
    if service.health.is_safe() && !host.config.enabled {
        tracing::warn!(
            event = "executions_disabled",
            "enabled = false: executions are refused until it is true"
        );
    }
    loop {
        let step = async {
            obey(signals.next().await, sources, &host, &service).await;
            Ok(())
        };
        match ending.unless(step).await {
            Ok(()) => {}
            Err(BootError::Interrupted) => break,
            Err(error) => return Err(error),
        }
    }
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
    }
}

/// What a signal can ask of a service that goes on.
enum ServiceSignal {
    Reload,
    AddWorker,
    RemoveWorker,
    ReopenLogs,
}

/// The signals that gunicorn has for it. Those that come before the service is up wait until it is.
struct ServiceSignals {
    hup: Signal,
    ttin: Signal,
    ttou: Signal,
    usr1: Signal,
}

impl ServiceSignals {
    fn listen() -> Result<Self, BootError> {
        let listen = |number| signal(SignalKind::from_raw(number)).map_err(system("sigaction"));
        Ok(Self {
            hup: listen(libc::SIGHUP)?,
            ttin: listen(libc::SIGTTIN)?,
            ttou: listen(libc::SIGTTOU)?,
            usr1: listen(libc::SIGUSR1)?,
        })
    }

    async fn next(&mut self) -> ServiceSignal {
        tokio::select! {
            Some(()) = self.hup.recv() => ServiceSignal::Reload,
            Some(()) = self.ttin.recv() => ServiceSignal::AddWorker,
            Some(()) = self.ttou.recv() => ServiceSignal::RemoveWorker,
            Some(()) = self.usr1.recv() => ServiceSignal::ReopenLogs,
            // The streams end with the runtime.
            else => std::future::pending().await,
        }
    }
}
