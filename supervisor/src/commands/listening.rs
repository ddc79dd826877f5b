//! The sockets of a service: passed by the service manager, or made by the service itself.

use crate::boot::{BootError, system};
use crate::config::Config;
use crate::http::peers;
use crate::service_manager::Passed;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The API's socket. A passed socket may also have been passed to another service, which executes.
/// So this service must accept no connection on it before it can execute. On its own socket, the
/// service answers at once: then `accepts` is cancelled here.
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

/// The socket of the address of metrics, if there is one: the address of `metrics.bind`, or the
/// socket that was passed in its place.
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
