//! HTTP beside executions: methods that ask about a path.

mod support;

use serde_json::json;
use support::Service;
use support::raw::{PATH, Wire, head};

/// Head and body of the answer to a request without a body.
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
