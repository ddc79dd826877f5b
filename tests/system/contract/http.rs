//! Switches, methods, content types and sizes are looked at before the payload; and the ways in
//! which a request can travel.

use crate::answers::NOT_CONFIGURED;
use codejail_harness::http::{
    Answer, Connection, FORM, MULTIPART, PATH, form, head, multipart, post, post_payload,
};
use codejail_harness::wait::{START_MAX, wait_for};
use codejail_harness::wire::Wire;
use codejail_harness::{Service, Setup};
use serde_json::{Value, json};
use std::thread::sleep;
use std::time::Duration;

const GOOD: &str = r#"{"code": "x = 1", "globals_dict": {}}"#;

fn assert_answer(case: &str, answer: &Answer, status: u16, body: &Value) {
    assert_eq!(answer.status, status, "{case}: {answer:?}");
    assert_eq!(answer.json(), *body, "{case}");
    let content_type = answer.header("content-type");
    assert_eq!(content_type, Some("application/json"), "{case}");
}

fn ask(service: &Service, head: &str) -> Answer {
    let mut connection = Connection::open(service.address).expect("connect");
    connection.ask(head, b"").expect("an answer")
}

#[test]
fn other_methods_are_named() {
    for overrides in ["", "enabled = false"] {
        let service = Service::start(overrides);
        for method in ["GET", "PUT", "DELETE", "PATCH"] {
            let answer = ask(&service, &head(method, PATH, "Content-Length: 0\r\n"));
            let detail = format!("Method \"{method}\" not allowed.");
            assert_answer(method, &answer, 405, &json!({ "detail": detail }));
            let allow = answer.header("allow").unwrap_or_default();
            assert!(allow.contains("POST"), "{method}: {allow}");
        }
    }
}

#[test]
fn other_content_types_are_named() {
    let service = Service::start("");
    for content_type in [
        "text/plain",
        "application/json",
        "application/octet-stream",
        "text/plain; charset=utf-8",
    ] {
        let answer = post(service.address, Some(content_type), GOOD);
        let detail = format!("Unsupported media type \"{content_type}\" in request.");
        assert_answer(content_type, &answer, 415, &json!({ "detail": detail }));
    }
    let content_type = "application/x-www-form-urlencoded; charset=UTF-8";
    let answer = post(service.address, Some(content_type), form(GOOD));
    assert_eq!(answer.success(), json!({"x": 1}));
}

#[test]
fn content_types_are_known_in_any_case() {
    let service = Service::start("");
    let content_type = "Application/X-WWW-Form-Urlencoded";
    let answer = post(service.address, Some(content_type), form(GOOD));
    assert_eq!(answer.success(), json!({"x": 1}));
}

#[test]
fn a_service_that_is_switched_off_or_unsafe_says_so_whatever_it_is_sent() {
    let off = json!({"error": "Codejail service not enabled"});
    let wrong = json!({"error": NOT_CONFIGURED});
    let unsafe_here = "[layers]\nlandlock = \"off\"\nmounts = \"off\"";
    let both = format!("enabled = false\n{unsafe_here}");
    for (overrides, expected) in [
        ("enabled = false", off.clone()),
        (unsafe_here, wrong),
        (&both, off),
    ] {
        let service = Service::launch(&Setup {
            overrides,
            ..Setup::default()
        });
        wait_for("the startup checks", START_MAX, || {
            let health = service.get("/health/").json();
            (!health["checks"].is_null()).then_some(())
        });
        for (case, content_type, body) in [
            ("good", Some(FORM), form(GOOD)),
            ("nothing", None, String::new()),
            ("no JSON", Some(FORM), form("{")),
            ("another content type", Some("text/plain"), GOOD.into()),
        ] {
            let answer = post(service.address, content_type, body);
            assert_answer(&format!("{overrides}: {case}"), &answer, 500, &expected);
        }
    }
}

#[test]
fn what_is_too_large_is_refused_with_the_limit() {
    let service = Service::start("body_bytes_max = 4096");
    let file = |size| {
        let zip = vec![b'z'; size];
        let parts = [
            ("payload", None, GOOD.as_bytes()),
            ("python_lib.zip", Some("python_lib.zip"), zip.as_slice()),
        ];
        multipart(&parts)
    };
    let padded = |size: usize| {
        let mut body = form(GOOD);
        body.push_str("&x=");
        body.push_str(&"y".repeat(size - body.len()));
        body
    };
    let expected = json!({"error": "Request body is larger than 4096 bytes"});
    let answer = post(service.address, Some(MULTIPART), file(4096));
    assert_answer("file", &answer, 413, &expected);
    let answer = post(service.address, Some(FORM), padded(4097));
    assert_answer("one byte", &answer, 413, &expected);
    let answer = post(service.address, Some(FORM), padded(4096));
    assert_eq!(answer.success(), json!({"x": 1}));
    // A chunked body announces no length, so the service stops at the limit.
    let mut wire = Wire::open(service.address);
    let headers = format!("Content-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n");
    wire.say(head("POST", PATH, &headers));
    wire.say(format!("1400\r\n{}\r\n0\r\n\r\n", "y".repeat(0x1400)));
    let answer = wire.rest();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[test]
fn of_duplicates_the_last_counts() {
    let service = Service::start("");
    let second = r#"{"code": "x = 2", "globals_dict": {}}"#;
    let twice = format!("{}&{}", form("{}"), form(second));
    let answer = post(service.address, Some(FORM), twice);
    assert_eq!(answer.success(), json!({"x": 2}));

    let code = r#"{"code": "with open('python_lib.zip') as f: x = f.read()", "globals_dict": {}}"#;
    let parts = [
        ("payload", None, b"{".as_slice()),
        ("python_lib.zip", Some("first"), b"first"),
        ("payload", None, code.as_bytes()),
        ("python_lib.zip", Some("first"), b"last"),
    ];
    let answer = post(service.address, Some(MULTIPART), multipart(&parts));
    assert_eq!(answer.success(), json!({"x": "last"}));

    // The same holds for a key that the payload has twice.
    let text = r#"{"code": 5, "code": "x = 3", "globals_dict": [], "globals_dict": {}}"#;
    let answer = post_payload(service.address, text);
    assert_eq!(answer.success(), json!({"x": 3}));
}

#[test]
fn a_body_can_travel_in_any_way_that_http_knows() {
    let service = Service::start("");
    let body = form(GOOD);
    let typed = format!("Content-Type: {FORM}\r\n");
    let good = |case: &str, answer: &str| {
        assert!(answer.starts_with("HTTP/1.1 200"), "{case}: {answer}");
        let expected = r#"{"globals_dict":{"x":1}}"#;
        assert!(answer.ends_with(expected), "{case}: {answer}");
    };

    let mut wire = Wire::open(service.address);
    let length = body.len();
    let headers = format!("{typed}Content-Length: {length}\r\nExpect: 100-continue\r\n");
    wire.say(head("POST", PATH, &headers));
    let go = wire.wait_for("\r\n\r\n");
    assert!(go.starts_with("HTTP/1.1 100"), "{go}");
    wire.say(&body);
    good("100-continue", &wire.rest());

    let mut wire = Wire::open(service.address);
    wire.say(head(
        "POST",
        PATH,
        &format!("{typed}Transfer-Encoding: chunked\r\n"),
    ));
    for piece in body.as_bytes().chunks(7) {
        wire.say(format!("{:x}\r\n", piece.len()));
        wire.say(piece);
        wire.say("\r\n");
    }
    wire.say("0\r\n\r\n");
    good("chunked", &wire.rest());

    let mut wire = Wire::open(service.address);
    let head = head(
        "POST",
        PATH,
        &format!("{typed}Content-Length: {length}\r\n"),
    );
    for piece in [head.as_bytes(), body.as_bytes()].concat().chunks(20) {
        wire.say(piece);
        sleep(Duration::from_millis(10));
    }
    good("in small pieces", &wire.rest());
}

#[test]
fn a_body_that_is_not_what_it_says_is_refused() {
    let service = Service::start("");
    for (case, content_type, body) in [
        ("no boundary", "multipart/form-data", b"x".to_vec()),
        (
            "cut",
            MULTIPART,
            b"--XYZ\r\nContent-Disposition: form".to_vec(),
        ),
        ("no multipart", MULTIPART, b"payload={}".to_vec()),
    ] {
        let answer = post(service.address, Some(content_type), body);
        assert_eq!(answer.status, 400, "{case}: {answer:?}");
        assert!(answer.json()["error"].is_string(), "{case}: {answer:?}");
        let content_type = answer.header("content-type");
        assert_eq!(content_type, Some("application/json"), "{case}");
    }
}
