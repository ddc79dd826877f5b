//! `codejail serve`: listen, boot, serve until told to end, drain.

use crate::boot::{self, BootError, Host, system};
use crate::config::Config;
use crate::http;
use crate::spawner_link::SpawnerLinkError;
use axum::serve::ListenerExt;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::timeout;

/// Runs the service to its end.
///
/// # Errors
/// It could not start, or lost its spawner.
pub fn run(config: Config) -> Result<(), BootError> {
    match boot::run(config, serve) {
        // Told to end before it served: that is what it did.
        Err(BootError::Interrupted) => Ok(()),
        done => done,
    }
}

async fn serve(host: Host) -> Result<(), BootError> {
    let bind = host.config.bind;
    let listener = TcpListener::bind(bind)
        .await
        .map_err(|error| BootError::Bind(bind, error))?;
    let address = listener.local_addr().map_err(system("getsockname"))?;
    tracing::info!("listening on {address}");
    let listener = listener.tap_io(|stream| {
        // An answer is one small write: waiting to fill a segment would only delay it.
        let _ = stream.set_nodelay(true);
    });
    let service = host.service();
    let router = http::router(service.clone(), host.metrics.clone());
    let ending = &host.ending;
    let drain = ending.drain.clone();
    let http = axum::serve(listener, router).with_graceful_shutdown(drain.cancelled_owned());
    let mut http = tokio::spawn(http.into_future());
    ending.unless(host.boot(&service)).await?;
    if service.health.is_safe() && !host.config.enabled {
        tracing::warn!("enabled = false: executions are refused until it is true");
    }
    tokio::select! {
        () = ending.drain.cancelled() => {}
        () = ending.spawner_gone.cancelled() => return Err(SpawnerLinkError::Gone.into()),
    }
    let graceful = Duration::from_millis(host.config.graceful_timeout_ms);
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
