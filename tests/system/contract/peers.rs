//! Which addresses may ask.

use codejail_harness::http::{self, Answer, Connection, FORM, PATH};
use codejail_harness::{Service, Setup};
use nix::sys::signal::Signal::SIGHUP;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;

/// An address of the host that a test gives to its client.
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 3, 5, 7);

/// Asks from this address of the host.
fn ask_from(from: Ipv4Addr, service: &Service, method: &str, path: &str) -> Answer {
    let SocketAddr::V4(to) = service.address else {
        panic!("{}", service.address);
    };
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None).expect("a socket");
    bind(
        socket.as_raw_fd(),
        &SockaddrIn::from(SocketAddrV4::new(from, 0)),
    )
    .expect("bind");
    connect(socket.as_raw_fd(), &SockaddrIn::from(to)).expect("connect");
    let body = http::form(r#"{"code": "x = 1", "globals_dict": {}}"#);
    let (headers, body) = match method {
        "POST" => (
            format!("Content-Type: {FORM}\r\nContent-Length: {}\r\n", body.len()),
            body.as_bytes(),
        ),
        _ => (String::new(), &b""[..]),
    };
    let mut connection = Connection::over(TcpStream::from(socket)).expect("a connection");
    connection
        .ask(&http::head(method, path, &headers), body)
        .expect("an answer")
}

fn status_from(from: Ipv4Addr, service: &Service, path: &str) -> u16 {
    let method = if path == PATH { "POST" } else { "GET" };
    ask_from(from, service, method, path).status
}

#[test]
fn only_networks_of_the_list_may_ask_and_others_are_counted() {
    let service = Service::start("[peers]\napi = ['127.3.0.0/16']\nmetrics = ['127.0.0.1']");
    let home = Ipv4Addr::LOCALHOST;
    for (from, path, status) in [
        (OTHER, PATH, 200),
        (home, PATH, 403),
        (home, "/metrics", 200),
        (OTHER, "/metrics", 403),
        (OTHER, "/no-such-page", 403),
        (home, "/no-such-page", 404),
        (OTHER, "/livez", 200),
        (OTHER, "/readyz", 200),
        (OTHER, "/health/", 200),
    ] {
        assert_eq!(status_from(from, &service, path), status, "{from} {path}");
    }
    let refused = ask_from(home, &service, "POST", PATH);
    assert_eq!(
        refused.body,
        "This address is not in peers.api of the service's configuration.\n"
    );
    assert_eq!(service.metric("codejail_peers_refused_total"), 4);
    // The log has one line for each list, however many clients ask.
    let lines = service.events("peer_refused");
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].contains("127.0.0.1") && lines[0].contains("peers.api"),
        "{lines:?}"
    );
}

#[test]
fn everybody_may_ask_where_there_is_no_list_and_a_reload_brings_one() {
    let service = Service::start("");
    for path in [PATH, "/metrics"] {
        assert_eq!(status_from(OTHER, &service, path), 200, "{path}");
    }
    service.reconfigure("[peers]\napi = ['127.0.0.1/32']");
    service.tell(SIGHUP);
    service.wait_for_event("configuration_reloaded");
    assert_eq!(status_from(OTHER, &service, PATH), 403);
    assert_eq!(status_from(OTHER, &service, "/metrics"), 200);
    service.assert_works();
}

#[test]
fn an_address_that_others_reach_without_a_list_is_worth_a_warning() {
    let warning = "may have code executed: peers.api names no networks";
    for (overrides, warned) in [
        ("bind = '0.0.0.0:0'", true),
        ("bind = '0.0.0.0:0'\n[peers]\napi = ['10.0.0.0/8']", false),
        ("", false),
    ] {
        let service = Service::launch(&Setup {
            overrides,
            ..Setup::default()
        });
        service.wait_for_event("service_ready");
        assert_eq!(
            service.log().contains(warning),
            warned,
            "{overrides}: {}",
            service.log()
        );
    }
}
