//! Where requests come from: a socket that the service manager passes, or one of the service's own.

use crate::boot::{BootError, system};
use crate::config::Config;
use crate::http::peers;
use crate::service_manager::Passed;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The API's socket. Whoever has passed one may have passed it to another service too, which
/// executes: so nobody is to be accepted over it before this one can. Over its own socket the
/// service says at once how it is: then `accepts` is cancelled here.
///
/// # Errors
/// The address can't be listened on.
pub async fn for_api(
    config: &Config,
    passed: &mut Passed,
    accepts: &CancellationToken,
) -> Result<TcpListener, BootError> {
    let listener = match passed.take_api() {
        Some(socket) => watched(socket)?,
        None => {
            accepts.cancel();
            bound(config.bind).await?
        }
    };
    let address = listener.local_addr().map_err(system("getsockname"))?;
    let whose = match accepts.is_cancelled() {
        true => "by its own socket",
        false => "by a socket of the service manager",
    };
    tracing::info!(
        event = "service_listening",
        "listening on {address} {whose}"
    );
    if let Some(note) = peers::note(config, address) {
        note.log();
    }
    Ok(listener)
}

/// The socket of the address of metrics, if there is one: that `metrics.bind` names, or in its
/// place the one that was passed for it.
///
/// # Errors
/// The address can't be listened on.
pub async fn for_metrics(
    config: &Config,
    passed: &mut Passed,
) -> Result<Option<TcpListener>, BootError> {
    let Some(bind) = config.metrics.bind else {
        return Ok(None);
    };
    let listener = match passed.take_metrics() {
        Some(socket) => watched(socket)?,
        None => bound(bind).await?,
    };
    let address = listener.local_addr().map_err(system("getsockname"))?;
    tracing::info!(
        event = "metrics_listening",
        "metrics and health on {address}"
    );
    Ok(Some(listener))
}

async fn bound(address: SocketAddr) -> Result<TcpListener, BootError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| BootError::Bind(address, error))
}

fn watched(socket: std::net::TcpListener) -> Result<TcpListener, BootError> {
    let quick = socket.set_nonblocking(true);
    quick.map_err(system("O_NONBLOCK on the passed socket"))?;
    TcpListener::from_std(socket).map_err(system("watch the passed socket"))
}
