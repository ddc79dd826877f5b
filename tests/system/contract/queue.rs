//! Clients that wait, are slow, or go away cost the other clients nothing.

use codejail_harness::http::FORM;
use codejail_harness::http::{Answer, PATH, form, head};
use codejail_harness::wait::{END_MAX, wait_until};
use codejail_harness::wire::Wire;
use codejail_harness::{Run, Service};
use serde_json::json;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// Runs longer than any test takes, until it is killed.
const FOREVER: &str = "import os, time; os.mkdir('tmp/running'); time.sleep(15)";

fn payload(code: &str) -> String {
    Run::new(code).payload()
}

/// A client whose execution runs until the client hangs up.
fn occupy(service: &Service) -> Wire {
    let mut client = Wire::open(service.address);
    client.post_payload(&payload(FOREVER));
    service.wait_for_mark("running");
    client
}

fn assert_busy(answer: &Answer, error: &str) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.json(), json!({ "error": error }));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let retry_after: Option<u64> = answer.header("retry-after").and_then(|s| s.parse().ok());
    assert!(
        retry_after.is_some_and(|s| (1..60).contains(&s)),
        "{answer:?}"
    );
}

#[test]
fn who_waits_too_long_is_turned_away_in_time() {
    let service = Service::start("queue_wait_max_ms = 300");
    let client = occupy(&service);
    let asked = Instant::now();
    let answer = service.execute("x = 1");
    let waited = asked.elapsed();
    assert_busy(&answer, "No sandbox became free within 300 ms");
    assert!(waited >= Duration::from_millis(300), "{waited:?}");
    assert!(waited < Duration::from_millis(3500), "{waited:?}");
    client.hang_up();
}

#[test]
fn as_the_service_comes_a_refusal_is_there_before_the_client_gives_up() {
    // `serve` has this value by default.
    let service = Service::start("queue_wait_max_ms = 1000");
    let client = occupy(&service);
    let asked = Instant::now();
    assert_busy(
        &service.execute("x = 1"),
        "No sandbox became free within 1000 ms",
    );
    // The client's read timeout.
    assert!(
        asked.elapsed() < Duration::from_millis(3500),
        "{:?}",
        asked.elapsed()
    );
    client.hang_up();
    let default = codejail::config::Config::default().queue_wait_max_ms;
    assert_eq!(default, 1000);
}

#[test]
fn one_more_than_may_wait_is_turned_away_at_once() {
    let service = Service::start("queue_length_max = 1");
    let client = occupy(&service);
    let mut waiting = Wire::open(service.address);
    waiting.post_payload(&payload("x = 1"));
    wait_until("one in the queue", END_MAX, || {
        service.metric("codejail_queue_length") == 1
    });
    let asked = Instant::now();
    let answer = service.execute("x = 1");
    assert_busy(&answer, "No sandbox is free and 1 request waits already");
    assert!(asked.elapsed() < Duration::from_secs(5));
    client.hang_up();
    let answer = waiting.rest();
    assert!(answer.ends_with(r#"{"globals_dict":{"x":1}}"#), "{answer}");
}

#[test]
fn a_client_that_hangs_up_while_it_waits_is_never_executed() {
    let service = Service::start("");
    let before = service.metric("codejail_execution_seconds_count");
    let running = occupy(&service);
    let mut queued = Wire::open(service.address);
    queued.post_payload(&payload(FOREVER));
    let length = |expected| {
        wait_until("the queue", END_MAX, || {
            service.metric("codejail_queue_length") == expected
        });
    };
    length(1);
    queued.hang_up();
    length(0);
    running.hang_up();
    assert_eq!(service.value_of_x("x = 1"), json!(1));
    // The executions of clients that hung up are not counted, since they had no end.
    assert_eq!(
        service.metric("codejail_execution_seconds_count"),
        before + 1
    );
}

#[test]
fn a_client_that_hangs_up_ends_its_run_and_frees_its_place() {
    let service = Service::start("queue_wait_max_ms = 3000");
    for _ in 0..10 {
        let client = occupy(&service);
        let directory = service.wait_for_mark("running");
        let asked = Instant::now();
        client.hang_up();
        assert_eq!(service.value_of_x("x = 1"), json!(1));
        wait_until("its directory gone", END_MAX, || {
            !directory.join("jailed_code").exists()
        });
        assert!(asked.elapsed() < Duration::from_secs(5));
    }
    let family = service.wait_for_processes(2 + 1 + 2);
    assert_eq!(family.len(), 5);
}

#[test]
fn slow_clients_hold_nothing_that_others_need() {
    let service = Service::start("queue_wait_max_ms = 2000\nqueue_length_max = 0");
    let body = form(&payload("x = 2"));
    let typed = format!("Content-Type: {FORM}\r\nContent-Length: {}\r\n", body.len());
    let mut slow: Vec<Wire> = (0..50).map(|_| Wire::open(service.address)).collect();
    for (number, client) in slow.iter_mut().enumerate() {
        match number % 3 {
            0 => client.say("POST "),
            1 => client.say(head("POST", PATH, &typed)),
            _ => client.say(head("POST", PATH, &typed) + &body[..body.len() / 2]),
        }
    }
    for n in 0..20 {
        assert_eq!(service.value_of_x(&format!("x = {n}")), json!(n));
    }
    // Clients whose body comes after all get their answers, one after the other since there is one
    // place.
    for client in slow.iter_mut().skip(2).step_by(3) {
        sleep(Duration::from_millis(5));
        client.say(&body[body.len() / 2..]);
        let answer = client.rest();
        assert!(answer.ends_with(r#"{"globals_dict":{"x":2}}"#), "{answer}");
    }
}

#[test]
fn a_client_that_does_not_read_its_answer_holds_no_sandbox() {
    let service = Service::start("");
    let mut lazy: Vec<Wire> = (0..3).map(|_| Wire::open(service.address)).collect();
    for client in &mut lazy {
        // Far more than the buffers of a connection hold.
        client.post_payload(&payload("x = 'y' * (20 << 20)"));
    }
    thread::scope(|scope| {
        for n in 0..4 {
            let service = &service;
            scope.spawn(move || assert_eq!(service.value_of_x(&format!("x = {n}")), json!(n)));
        }
    });
    for client in &mut lazy {
        assert!(client.rest().len() > 20 << 20);
    }
}
