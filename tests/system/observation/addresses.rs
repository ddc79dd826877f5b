//! The address of metrics; and the answers of the paths beside the API to other methods.

use codejail_harness::http::{Answer, Connection, PATH, get, head};
use codejail_harness::{Run, Service};
use nix::sys::signal::Signal::SIGHUP;
use serde_json::json;
use std::net::SocketAddr;

pub fn metrics_address(service: &Service) -> SocketAddr {
    let line = service.wait_for_event("metrics_listening");
    let (_, rest) = line
        .split_once("metrics and health on ")
        .expect("an address");
    rest.split(' ')
        .next()
        .expect("a word")
        .parse()
        .expect("an address")
}

fn ask(address: SocketAddr, method: &str, path: &str) -> Answer {
    let mut connection = Connection::open(address).expect("connect");
    let answer = connection.ask(&head(method, path, "Content-Length: 0\r\n"), b"");
    answer.expect("an answer")
}

#[test]
fn metrics_and_health_have_an_address_of_their_own_on_which_nothing_is_executed() {
    let service = Service::start("[metrics]\nbind = \"127.0.0.1:0\"");
    let address = metrics_address(&service);
    assert_ne!(address, service.address);
    for path in ["/metrics", "/health/", "/livez", "/readyz"] {
        assert_eq!(get(address, path).expect("an answer").status, 200, "{path}");
    }
    assert_eq!(Run::new("x = 1").ask(address).status, 404);
    assert_eq!(service.get("/metrics").status, 200);
    // It applies at once, as the document says of the key.
    service.reconfigure("metrics.on_api_address = false");
    service.tell(SIGHUP);
    service.wait_for_event("configuration_reloaded");
    assert_eq!(service.get("/metrics").status, 404);
    assert_eq!(service.get("/health/").status, 200);
    assert_eq!(get(address, "/metrics").expect("an answer").status, 200);
}

#[test]
fn an_address_that_is_taken_ends_the_service_with_its_name() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    let (status, log) = Service::fail_to_start(&format!("metrics.bind = \"{address}\""));
    assert_eq!(status, Some(69), "{log}");
    assert!(log.contains(&address.to_string()), "{log}");
}

#[test]
fn each_path_names_the_methods_that_it_knows() {
    let service = Service::start("");
    for (path, allowed) in [
        (PATH, "POST, OPTIONS"),
        ("/health/", "GET, HEAD, OPTIONS"),
        ("/livez", "GET, HEAD"),
        ("/readyz", "GET, HEAD"),
        ("/metrics", "GET, HEAD"),
        ("/api/v0/openapi.json", "GET, HEAD"),
    ] {
        let answer = ask(service.address, "DELETE", path);
        assert_eq!(answer.status, 405, "{path}");
        assert_eq!(answer.header("allow"), Some(allowed), "{path}");
        assert_eq!(
            answer.json(),
            json!({"detail": "Method \"DELETE\" not allowed."})
        );
    }
    let options = ask(service.address, "OPTIONS", PATH);
    assert_eq!(
        (options.status, options.header("allow")),
        (200, Some("POST, OPTIONS"))
    );
    assert_eq!(
        ask(service.address, "OPTIONS", "/health/").json()["status"],
        "OK"
    );
}
