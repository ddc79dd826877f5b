//! HTTP beside executions: methods that ask about a path, and clients that take their answers
//! slowly.

use codejail_harness::http::{self, FORM, PATH, head};
use codejail_harness::wire::Wire;
use codejail_harness::{Run, Service};
use serde_json::json;
use std::io::{Read, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Head and body of the answer to a request that has no body.
fn ask(service: &Service, method: &str, path: &str) -> (String, String) {
    let mut wire = Wire::open(service.address);
    wire.say(head(method, path, ""));
    let answer = wire.rest();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_ascii_lowercase(), body.to_owned())
}

#[test]
fn options_say_what_the_path_takes_and_gives() {
    for overrides in ["", "enabled = false"] {
        let service = Service::start(overrides);
        let (head, body) = ask(&service, "OPTIONS", PATH);
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(head.contains("\r\nallow: post, options"), "{head}");
        assert!(
            head.contains("\r\ncontent-type: application/json"),
            "{head}"
        );
        let said: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert!(said["name"].is_string() && said["description"].is_string());
        assert_eq!(said["renders"], json!(["application/json"]));
        let parses = ["application/x-www-form-urlencoded", "multipart/form-data"];
        assert_eq!(said["parses"], json!(parses));
    }
}

#[test]
fn a_head_request_has_the_head_of_the_refusal_and_no_body() {
    let service = Service::start("");
    let (head, body) = ask(&service, "HEAD", PATH);
    assert!(head.starts_with("http/1.1 405"), "{head}");
    assert!(head.contains("\r\nallow: post, options"), "{head}");
    assert_eq!(body, "");
}

#[test]
fn health_answers_head_and_options_as_it_answers_get() {
    let service = Service::start("");
    let (got, health) = ask(&service, "GET", "/health/");
    assert!(got.starts_with("http/1.1 200"), "{got}");
    let (options, body) = ask(&service, "OPTIONS", "/health/");
    assert!(options.starts_with("http/1.1 200"), "{options}");
    assert_eq!(body, health);
    let (head, body) = ask(&service, "HEAD", "/health/");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert_eq!(body, "");
}

#[test]
fn a_client_that_reads_a_little_now_and_then_is_cut_off() {
    let service = Service::start("body_timeout_ms = 700");
    let mut client = std::net::TcpStream::connect(service.address).expect("connect");
    let run = Run::new("x = 'y' * (20 << 20)");
    let body = http::form(&run.payload());
    let length = body.len();
    let headers = format!("Content-Type: {FORM}\r\nContent-Length: {length}\r\n");
    let request = head("POST", PATH, &headers) + &body;
    client.write_all(request.as_bytes()).expect("write");
    let mut cut_off = wait_until_cut_off(&service);
    let mut piece = vec![0; 1 << 16];
    while !cut_off() {
        // This is enough for the kernel, which wants an acknowledgement now and then and no more.
        client.read_exact(&mut piece).expect("read");
        sleep(Duration::from_millis(80));
    }
}

/// Whether only the connection of the client that asks is left. Fails if the other connection stays
/// for long.
fn wait_until_cut_off(service: &Service) -> impl FnMut() -> bool {
    let asked = Instant::now();
    let mut was_there = false;
    move || {
        assert!(
            asked.elapsed() < Duration::from_secs(20),
            "it is still there"
        );
        let count = service.metric("codejail_connections");
        was_there |= service.get("/metrics").body.contains("executed.success");
        was_there && count == 1
    }
}
