//! A service that is told to end ends, whatever it is waiting for.

use codejail_harness::root::is_root;
use codejail_harness::{Service, Setup};
use nix::sys::signal::Signal::SIGINT;
use std::fs;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// An address of a test machine at which nothing else listens.
const NAME_SERVER: &str = "127.53.41.7";

#[test]
fn a_service_that_looks_up_a_name_ends_at_once_when_told() {
    // Only root can give the service a resolver of its own.
    if !is_root() {
        return;
    }
    // This name server takes questions and answers none.
    let name_server = UdpSocket::bind((NAME_SERVER, 53)).expect("port 53");
    let longest = Some(Duration::from_secs(60));
    name_server.set_read_timeout(longest).expect("a timeout");
    let resolver = format!("/tmp/cj-resolver-{}", std::process::id());
    let text = format!("nameserver {NAME_SERVER}\noptions timeout:20 attempts:1\n");
    fs::write(&resolver, text).expect("write");
    let enter = format!("mount --bind {resolver} /etc/resolv.conf && exec \"$0\" \"$@\"");
    let mut service = Service::launch(&Setup {
        overrides: "egress_check = 'name.invalid.example:443'",
        starter: &["unshare", "--mount", "sh", "-c", &enter],
        ..Setup::default()
    });
    name_server.recv(&mut [0; 512]).expect("a question");
    let told = Instant::now();
    service.signal(SIGINT);
    let status = service.wait();
    fs::remove_file(&resolver).expect("remove");
    assert_eq!(status.code(), Some(0), "{}", service.log());
    let took = told.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
}
