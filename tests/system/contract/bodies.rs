//! Bodies and answers are bounded in sum, whatever pieces they come in. Short bodies always find
//! room, whatever the others hold.

use codejail_harness::http::{FORM, PATH, head};
use codejail_harness::wait::{END_MAX, wait_for};
use codejail_harness::wire::Wire;
use codejail_harness::{Run, Service};
use serde_json::json;
use std::fs;
use std::time::Duration;

const MIB: usize = 1 << 20;
const NO_ROOM: &str =
    r#"{"error":"The service holds too much for other requests to take this one"}"#;

fn held(service: &Service) -> u64 {
    service.metric("codejail_bodies_bytes")
}

/// The most memory that the supervisor has had, in KiB.
fn peak_kib(service: &Service) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", service.pid())).expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.expect("VmHWM").parse().expect("a number")
}

/// A client that has announced the length of its body and has sent none of it.
fn announce(service: &Service, bytes: usize) -> Wire {
    let mut client = Wire::open(service.address);
    let headers = format!("Content-Type: {FORM}\r\nContent-Length: {bytes}\r\n");
    client.say(head("POST", PATH, &headers));
    client
}

#[test]
fn a_body_in_single_bytes_takes_no_more_memory_than_it_is_long() {
    const BYTES: usize = 300_000;
    let service = Service::start("");
    service.execute("x = 1").success();
    let before = peak_kib(&service);
    let mut client = Wire::open(service.address);
    let headers = format!("Content-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n");
    client.say(head("POST", PATH, &headers));
    client.say("1\r\na\r\n".repeat(BYTES));
    client.say("0\r\n\r\n");
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let more = peak_kib(&service) - before;
    assert!(more < 6 * 1024, "{more} KiB for {BYTES} bytes");
}

#[test]
fn bodies_find_no_more_room_together_than_there_is() {
    let service = Service::start("body_bytes_max = 4194304\nbodies_bytes_max = 4194304");
    let bytes = 3 * MIB;
    // Bodies that are only announced take no room.
    let idle: Vec<Wire> = (0..8).map(|_| announce(&service, 4 * MIB)).collect();
    let mut first = announce(&service, bytes);
    first.say("a".repeat(bytes - 1));
    wait_for("the first body", END_MAX, || {
        (held(&service) == (bytes - MIB / 4 - 1) as u64).then_some(())
    });
    let mut second = announce(&service, bytes);
    second.say("a".repeat(bytes));
    let refused = second.rest();
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("\r\nretry-after: 1\r\n"), "{refused}");
    assert!(refused.ends_with(NO_ROOM), "{refused}");
    // A short body is not refused, and an announced body does not count as held.
    assert_eq!(service.value_of_x("x = 1"), json!(1));
    assert!(held(&service) < 4 * MIB as u64);
    first.say("a");
    assert!(first.rest().starts_with("HTTP/1.1 400"));
    // Now the longest body that is allowed finds room.
    let code = format!("x = 1\n#{}", "a".repeat(4 * MIB - 2000));
    assert_eq!(service.value_of_x(&code), json!(1));
    wait_for("room", END_MAX, || (held(&service) == 0).then_some(()));
    drop(idle);
}

#[test]
fn answers_that_nobody_reads_take_room_too() {
    let service = Service::start("bodies_bytes_max = 33554432\nworkers = 2");
    let run = |mib: usize| Run::new(format!("x = 'y' * ({mib} << 20)"));
    let mut lazy = Wire::open(service.address);
    lazy.post_payload(&run(30).payload());
    wait_for("its answer", END_MAX, || {
        (held(&service) > 29 * MIB as u64).then_some(())
    });
    let refused = service.run(&run(8));
    assert_eq!(refused.status, 503);
    assert_eq!(refused.body, NO_ROOM);
    assert_eq!(service.value_of_x("x = 1"), json!(1));
    lazy.hang_up();
    wait_for("room", END_MAX, || (held(&service) == 0).then_some(()));
    let answer = service.run(&run(8)).success();
    assert_eq!(answer["x"].as_str().map(str::len), Some(8 * MIB));
}

#[test]
fn a_budget_in_which_the_longest_body_has_no_room_is_refused_by_name() {
    let (status, said) = Service::fail_to_start("bodies_bytes_max = 1048576");
    assert_eq!(status, Some(78), "{said}");
    assert!(said.contains("bodies_bytes_max = 1048576"), "{said}");
    assert!(said.contains("must be at least 33554432"), "{said}");
}

#[test]
fn a_body_that_trickles_is_answered_408() {
    let service = Service::start("body_timeout_ms = 400");
    let mut client = announce(&service, 1000);
    while client.try_say("a") {
        if service.get("/metrics").body.contains("invalid.too_slow") {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}
