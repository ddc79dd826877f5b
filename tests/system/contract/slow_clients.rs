//! Clients that are slow or silent. Each part of a request has a time limit, and silent
//! connections, however many, don't keep others from their turn.

use codejail_harness::http::{FORM, MULTIPART, PATH, head};
use codejail_harness::wait::{END_MAX, wait_for, wait_until};
use codejail_harness::wire::Wire;
use codejail_harness::{Run, Service};
use nix::sys::signal::Signal::SIGTERM;
use serde_json::json;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The client that asks for the metric has a connection, too.
fn wait_for_connections(service: &Service, count: u64) {
    wait_until("connections", END_MAX, || {
        service.metric("codejail_connections") == count + 1
    });
}

#[test]
fn a_head_that_does_not_come_to_its_end_ends_the_connection() {
    let service = Service::start("head_timeout_ms = 400");
    let asked = Instant::now();
    let mut silent = Wire::open(service.address);
    let mut started = Wire::open(service.address);
    started.say("POST /api/v0/code-exec HTTP/1.1\r\nHost: ");
    assert_eq!(silent.rest(), "");
    assert_eq!(started.rest(), "");
    // Each byte comes in time, but the whole head does not.
    let mut dripping = Wire::open(service.address);
    for byte in head("GET", "/livez", "").bytes().take(20) {
        if !dripping.try_say([byte]) {
            break;
        }
        sleep(Duration::from_millis(50));
    }
    assert!(dripping.is_cut_off());
    // The limit also holds between two requests.
    let mut kept = service.connect();
    Run::new("x = 1").ask_over(&mut kept).success();
    assert!(kept.stays_silent());
    assert!(asked.elapsed() >= Duration::from_millis(800));
    wait_for_connections(&service, 0);
}

#[test]
fn a_body_that_does_not_come_to_its_end_is_answered_408() {
    let service = Service::start("body_timeout_ms = 400");
    for content_type in [FORM, MULTIPART] {
        let mut client = Wire::open(service.address);
        let headers = format!("Content-Type: {content_type}\r\nContent-Length: 1000\r\n");
        client.say(head("POST", PATH, &headers) + "--XYZ");
        let answer = client.rest();
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        let body = r#"{"error":"Request body did not come within 400 ms"}"#;
        assert!(answer.ends_with(body), "{answer}");
    }
    wait_for_connections(&service, 0);
    assert_eq!(service.value_of_x("x = 1"), json!(1));
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_is_cut_off() {
    let service = Service::start("body_timeout_ms = 700");
    let mut lazy = Wire::open(service.address);
    // Far more than the buffers of a connection hold.
    lazy.post_payload(&Run::new("x = 'y' * (20 << 20)").payload());
    wait_for("its run", END_MAX, || {
        let metrics = service.get("/metrics").body;
        metrics.contains("executed.success").then_some(())
    });
    wait_for_connections(&service, 0);
}

#[test]
fn silent_clients_take_no_more_connections_than_there_may_be() {
    let service = Service::start("connections_max = 4\nhead_timeout_ms = 500");
    let silent: Vec<Wire> = (0..20).map(|_| Wire::open(service.address)).collect();
    let family = service.processes();
    let descriptors = family[0].descriptors();
    // The silent clients are cut off four at a time; then it is the turn of this one.
    assert_eq!(service.value_of_x("x = 1"), json!(1));
    assert_eq!(
        service.events("connections_exhausted").len(),
        1,
        "{}",
        service.log()
    );
    drop(silent);
    wait_for_connections(&service, 0);
    if let Some(descriptors) = descriptors {
        // Only root can count them: four connections, and the pipes of three sandboxes at most.
        assert!(descriptors < 64, "{descriptors}");
    }
}

#[test]
fn silent_clients_do_not_keep_a_service_from_ending() {
    let mut service = Service::start("connections_max = 3\ngraceful_timeout_ms = 20000");
    let silent: Vec<Wire> = (0..6).map(|_| Wire::open(service.address)).collect();
    service.wait_for_event("connections_exhausted");
    let told = Instant::now();
    service.signal(SIGTERM);
    assert_eq!(service.wait().code(), Some(0), "{}", service.log());
    assert!(
        told.elapsed() < Duration::from_secs(15),
        "{:?}",
        told.elapsed()
    );
    drop(silent);
}
