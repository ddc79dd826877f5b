//! Which clients may use which path: the configuration lists networks, and the connection's address
//! decides.

use super::client_address::ClientAddress;
use crate::config::Config;
use crate::config::current::Current;
use crate::config::note::Note;
use crate::metrics::count_refused_peers;
use crate::metrics::labels::PeerList;
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often the log names a client that is not on a list. Metrics count all of them.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// The list that guards a path; none for the paths that balancers use. Every path that is not named
/// here belongs to the list of metrics.
fn list_of(path: &str) -> Option<PeerList> {
    match path {
        "/livez" | "/readyz" | "/health/" => None,
        path if path.starts_with("/api/") => Some(PeerList::Api),
        _ => Some(PeerList::Metrics),
    }
}

/// When each list's log line was last written.
type Said = Arc<[Mutex<Option<Instant>>; 2]>;

/// The router, only for clients that the lists allow.
pub fn guard(router: Router, config: Arc<Current>) -> Router {
    let said = Said::default();
    router.layer(from_fn(move |request: Request, next: Next| {
        let refusal = refusal(&request, &config, &said);
        async move {
            match refusal {
                Some(refusal) => refusal,
                None => next.run(request).await,
            }
        }
    }))
}

fn refusal(request: &Request, config: &Current, said: &Said) -> Option<Response> {
    let list = list_of(request.uri().path())?;
    let config = config.get();
    let networks = match list {
        PeerList::Api => &config.peers.api,
        PeerList::Metrics => &config.peers.metrics,
    };
    if networks.is_empty() {
        return None;
    }
    let client = request.extensions().get::<ClientAddress>();
    let client = client.map(|client| client.0.ip().to_canonical());
    let is_in = |client: IpAddr| networks.iter().any(|network| network.contains(client));
    if client.is_some_and(is_in) {
        return None;
    }
    let key = list.name();
    count_refused_peers(list, 1);
    let mut last = said[list as usize].lock();
    if last.is_none_or(|last| last.elapsed() >= SAID_EVERY) {
        *last = Some(Instant::now());
        tracing::warn!(
            event = "peer_refused",
            list = key,
            client = client.map(tracing::field::display),
            "a client was refused, because its address is not in {key}; in the next minute such \
             clients are only counted"
        );
    }
    let why = format!("This address is not in {key} of the service's configuration.\n");
    Some((StatusCode::FORBIDDEN, why).into_response())
}

/// The warning for an address that other hosts reach while no list says which clients may use it.
#[must_use]
pub fn note(config: &Config, listens: SocketAddr) -> Option<Note> {
    let open = !listens.ip().to_canonical().is_loopback() && config.peers.api.is_empty();
    open.then(|| {
        Note::Warning(format!(
            "everybody who reaches {listens} can execute code: peers.api names no networks"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::network::Network;

    #[test]
    fn only_an_address_that_others_reach_is_worth_a_word() {
        let mut config = Config::default();
        let note = |config: &Config, listens: &str| note(config, listens.parse().unwrap());
        assert!(note(&config, "127.0.0.1:8080").is_none());
        assert!(note(&config, "[::1]:8080").is_none());
        assert!(note(&config, "0.0.0.0:8080").is_some());
        assert!(note(&config, "[::]:8080").is_some());
        config.peers.api = vec![Network::try_from("10.0.0.0/8".to_owned()).unwrap()];
        assert!(note(&config, "0.0.0.0:8080").is_none());
    }

    #[test]
    fn a_path_that_nobody_knows_is_not_for_everybody() {
        for (path, key) in [
            ("/api/v0/code-exec", Some("peers.api")),
            ("/livez", None),
            ("/health/", None),
            ("/health", Some("peers.metrics")),
            ("/metrics", Some("peers.metrics")),
            ("/", Some("peers.metrics")),
            ("//api/v0/code-exec", Some("peers.metrics")),
        ] {
            assert_eq!(list_of(path).map(PeerList::name), key, "{path}");
        }
    }
}
