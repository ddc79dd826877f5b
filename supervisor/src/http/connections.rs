//! Connections from accept to close: how many there may be, and how long a client may take over
//! each part of a request. The router handles the requests themselves.
//!
//! When the bound is reached the service accepts no more; new clients wait in the kernel's queue
//! until a connection has ended. No client is dropped to make room for another. Places become free
//! because every client that is too slow with a head, a body or an answer is cut off.

pub use super::client_address::ClientAddress;
use super::client_stream::{ClientStream, Patience};
use super::peers;
use crate::config::Config;
use crate::config::current::Current;
use axum::Router;
use axum::http::{HeaderValue, Request, header::CONNECTION};
use axum::middleware::map_response;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use metrics::gauge;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{setsockopt, sockopt::TcpUserTimeout};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Pause after a connection could not be accepted for lack of descriptors or memory. Without it the
/// loop would spin.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// How long a service that drains still takes a request over a connection that it accepted before.
/// A request that is on its way arrives in a fraction of this time; gunicorn uses two seconds, too.
const LAST_REQUEST_MAX: Duration = Duration::from_secs(2);
/// How often the log says that there are as many connections as may be.
const FULL_EVERY: Duration = Duration::from_secs(60);
/// Descriptors of a worker's own: its socket, its log, and some room.
const DESCRIPTORS_PER_WORKER: usize = 8;
/// Descriptors for standard streams, the runtime, the spawner's socket, the listeners, the
/// connections to the address of metrics, and some room.
const DESCRIPTORS_MORE: usize = 64 + METRICS_CONNECTIONS_MAX;
/// Connections to the address of metrics.
const METRICS_CONNECTIONS_MAX: usize = 32;
/// Connections that are accepted however few descriptors there are.
const CONNECTIONS_MIN: usize = 16;

/// Bytes that a connection reads ahead, and bytes that it writes together. A head must fit. Unread
/// bytes wait in the kernel.
const BUFFER_BYTES: usize = 64 * 1024;

/// How many connections an address may have.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionBounds {
    /// Most connections at a time.
    pub connections_max: usize,
    /// Whether metrics tell how many there are.
    pub are_counted: bool,
}

/// The bounds of the address of metrics: enough for a few scrapers and a few people.
pub const OF_METRICS: ConnectionBounds = ConnectionBounds {
    connections_max: METRICS_CONNECTIONS_MAX,
    are_counted: false,
};

/// Accepts and answers until told to drain; then answers all accepted requests.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: Arc<Current>,
    bounds: ConnectionBounds,
    drain: CancellationToken,
) {
    let ConnectionBounds {
        connections_max,
        are_counted,
    } = bounds;
    if are_counted {
        gauge!("codejail_connections_max").set(connections_max as f64);
    }
    let places = Arc::new(Semaphore::new(connections_max));
    let graceful = GracefulShutdown::new();
    let mut said_full = None;
    let router = {
        let drain = drain.clone();
        let router = peers::guard(router, Arc::clone(&config));
        router.layer(map_response(move |answer| say_close(drain.clone(), answer)))
    };
    loop {
        let next = async {
            if places.available_permits() == 0 {
                say_full(&mut said_full, connections_max);
            }
            accept(&listener, &places).await
        };
        let accepted = tokio::select! {
            () = drain.cancelled() => break,
            accepted = next => accepted,
        };
        match accepted {
            Ok((stream, client, place)) => {
                let watcher = graceful.watcher();
                let router = Addressed {
                    client,
                    router: TowerToHyperService::new(router.clone()),
                };
                let connection = connection(stream, router, &config.get(), watcher);
                tokio::spawn(async move {
                    let _place = place;
                    let one = f64::from(u8::from(are_counted));
                    gauge!("codejail_connections").increment(one);
                    connection.await;
                    gauge!("codejail_connections").decrement(one);
                });
            }
            // The error is about that client's connection, not about the listener.
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                tracing::error!(event = "accept_failed", %error, "a connection can't be accepted");
                tokio::select! {
                    () = drain.cancelled() => break,
                    () = sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
    drop(listener);
    // A client may be sending a request over an open connection. The answer tells the client that
    // the connection ends.
    let all = u32::try_from(connections_max).unwrap_or(u32::MAX);
    let _ = timeout(LAST_REQUEST_MAX, places.acquire_many(all)).await;
    graceful.shutdown().await;
}

/// While the service drains, the answer to a request is the last over its connection.
async fn say_close(drain: CancellationToken, mut answer: Response) -> Response {
    if drain.is_cancelled() {
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(CONNECTION, close);
    }
    answer
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, ClientAddress, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await;
    // It is never closed.
    let place = place.map_err(io::Error::other)?;
    let (stream, client) = listener.accept().await?;
    Ok((stream, ClientAddress(client), place))
}

/// The router; adds the client's address to each request.
struct Addressed {
    client: ClientAddress,
    router: TowerToHyperService<Router>,
}

impl hyper::service::Service<Request<Incoming>> for Addressed {
    type Response =
        <TowerToHyperService<Router> as hyper::service::Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as hyper::service::Service<Request<Incoming>>>::Error;
    type Future =
        <TowerToHyperService<Router> as hyper::service::Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.client);
        self.router.call(request)
    }
}

fn say_full(said: &mut Option<Instant>, connections_max: usize) {
    if said.is_none_or(|said| said.elapsed() >= FULL_EVERY) {
        *said = Some(Instant::now());
        tracing::warn!(
            event = "connections_exhausted",
            connections_max,
            "connections_max connections are open; further clients wait until one ends"
        );
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// Answers the requests of one connection.
fn connection(
    stream: TcpStream,
    router: Addressed,
    config: &Config,
    watcher: Watcher,
) -> impl Future<Output = ()> + use<> {
    // An answer is one small write: Nagle's algorithm would only delay it.
    let _ = stream.set_nodelay(true);
    // The kernel ends the connection if the client takes nothing for so long (TCP_USER_TIMEOUT,
    // tcp(7)).
    let untaken_max_ms = u32::try_from(config.body_timeout_ms).unwrap_or(u32::MAX);
    if let Err(error) = setsockopt(&stream, TcpUserTimeout, &untaken_max_ms) {
        tracing::warn!(event = "tcp_timeout_refused", %error, "TCP_USER_TIMEOUT can't be set");
    }
    // An answer may take as long as a body of its length.
    let patience = Patience {
        longest: Duration::from_millis(config.body_timeout_ms),
        bytes: config.body_bytes_max,
    };
    let stream = TokioIo::new(ClientStream::new(stream, patience));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .max_buf_size(BUFFER_BYTES)
        // This timeout also ends idle connections.
        .header_read_timeout(Duration::from_millis(config.head_timeout_ms))
        .serve_connection(stream, router);
    let connection = watcher.watch(connection);
    async move {
        // A client that went away or was too slow is normal; it is logged at a low level only.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection broke");
        }
    }
}

/// How many connections there may be, so that the pool always finds descriptors. It raises the
/// limit of descriptors as far as the host allows. If that is too little, there are fewer
/// connections.
pub fn connections_max(config: &Config) -> usize {
    let sandboxes = config.worker_slots() * 2 * config.sandboxes_per_worker;
    let pool = 4 * sandboxes + config.worker_slots() * DESCRIPTORS_PER_WORKER + DESCRIPTORS_MORE;
    let wanted = config.connections_max;
    let descriptors = raise_descriptors(pool + wanted);
    let possible = descriptors.saturating_sub(pool).max(CONNECTIONS_MIN);
    if possible < wanted {
        tracing::warn!(
            event = "connections_reduced",
            descriptors,
            needed = pool + wanted,
            connections_max = possible,
            "too few descriptors (ulimit -n) for connections_max and all sandboxes"
        );
    }
    wanted.min(possible)
}

/// Raises the soft limit if it is lower than needed; returns the limit.
fn raise_descriptors(needed: usize) -> usize {
    let resource = Resource::RLIMIT_NOFILE;
    let (soft, hard) = match getrlimit(resource) {
        Ok(limits) => limits,
        Err(errno) => {
            tracing::warn!(
                event = "descriptor_limit_unread",
                %errno,
                "the limit on descriptors can't be read"
            );
            return needed;
        }
    };
    let wanted = hard.min(needed as u64);
    if wanted <= soft {
        return usize::try_from(soft).unwrap_or(usize::MAX);
    }
    match setrlimit(resource, wanted, hard) {
        Ok(()) => usize::try_from(wanted).unwrap_or(usize::MAX),
        Err(errno) => {
            tracing::warn!(
                event = "descriptor_limit_kept",
                %errno,
                "the limit on descriptors can't be raised"
            );
            usize::try_from(soft).unwrap_or(usize::MAX)
        }
    }
}
