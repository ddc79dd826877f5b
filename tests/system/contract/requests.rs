//! The tables of requests and answers that clients rely on: each status, body and text.

use codejail_harness::http::{Answer, FORM, MULTIPART, multipart, post, post_payload};
use codejail_harness::{Run, Service, Setup};
use serde_json::{Value, json};

const JSON: &str = "application/json";

/// The request is refused as the table says: status, body, and a content type without a character
/// set.
fn assert_refused(case: &str, answer: &Answer, status: u16, body: &Value) {
    assert_eq!(answer.status, status, "{case}: {answer:?}");
    assert_eq!(answer.json(), *body, "{case}");
    assert_eq!(answer.header("content-type"), Some(JSON), "{case}");
}

fn assert_error(case: &str, answer: &Answer, error: &str) {
    assert_refused(case, answer, 400, &json!({ "error": error }));
}

fn payload(rest: &str) -> String {
    format!(r#"{{"code": "x = 1", "globals_dict": {{}}{rest}}}"#)
}

#[test]
fn a_payload_that_is_missing_is_named() {
    let service = Service::start("");
    let cases: [(&str, Option<&str>, Vec<u8>); 7] = [
        ("an empty form", Some(FORM), vec![]),
        ("another field", Some(FORM), b"code=x".to_vec()),
        ("a longer name", Some(FORM), b"payload2={}".to_vec()),
        (
            "another part",
            Some(MULTIPART),
            multipart(&[("code", None, b"x")]),
        ),
        (
            "a file only",
            Some(MULTIPART),
            multipart(&[("python_lib.zip", Some("a"), b"x")]),
        ),
        ("no part", Some(MULTIPART), multipart(&[])),
        ("no content type and no body", None, vec![]),
    ];
    for (case, content_type, body) in cases {
        let answer = post(service.address, content_type, body);
        assert_error(case, &answer, "Missing 'payload' parameter in POST body");
    }
}

#[test]
fn what_is_not_json_is_refused_in_the_words_of_python_3_11() {
    let service = Service::start("");
    for (text, message) in [
        ("", "Expecting value: line 1 column 1 (char 0)"),
        (" ", "Expecting value: line 1 column 2 (char 1)"),
        (
            "{",
            "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
        (
            r#"{"code""#,
            "Expecting ':' delimiter: line 1 column 8 (char 7)",
        ),
        (r#"{"code":}"#, "Expecting value: line 1 column 9 (char 8)"),
        (
            r#"{"a":1,}"#,
            "Expecting property name enclosed in double quotes: line 1 column 8 (char 7)",
        ),
        (
            "{'a':1}",
            "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
        ("[1 2]", "Expecting ',' delimiter: line 1 column 4 (char 3)"),
        (
            "{\"code\": \"x\ny\"}",
            "Invalid control character at: line 1 column 12 (char 11)",
        ),
        (r#""\x""#, r"Invalid \escape: line 1 column 2 (char 1)"),
        (
            r#""\ud8""#,
            r"Invalid \uXXXX escape: line 1 column 3 (char 2)",
        ),
        (
            r#""abc"#,
            "Unterminated string starting at: line 1 column 1 (char 0)",
        ),
        ("{}x", "Extra data: line 1 column 3 (char 2)"),
        (
            "\u{feff}{}",
            "Unexpected UTF-8 BOM (decode using utf-8-sig): line 1 column 1 (char 0)",
        ),
        // Line, column and char count code points: é is one, and the emoji is one.
        (
            "{\"é\u{1f600}\":\n  tru}",
            "Expecting value: line 2 column 3 (char 9)",
        ),
    ] {
        let expected = format!("Unable to parse payload JSON: {message}");
        assert_error(text, &post_payload(service.address, text), &expected);
        let body = multipart(&[("payload", None, text.as_bytes())]);
        let answer = post(service.address, Some(MULTIPART), body);
        assert_error(text, &answer, &expected);
    }
}

#[test]
fn json_of_another_shape_is_refused_in_the_words_of_jsonschema() {
    let service = Service::start("");
    let any = |value: &str| format!("{value} is not valid under any of the given schemas");
    let both = |fields: &str| format!(r#"{{{fields}, "code": "", "globals_dict": {{}}}}"#);
    for (text, path, message) in [
        ("[]".into(), "$", "[] is not of type 'object'".into()),
        ("null".into(), "$", "None is not of type 'object'".into()),
        ("NaN".into(), "$", "nan is not of type 'object'".into()),
        (r#""x""#.into(), "$", "'x' is not of type 'object'".into()),
        ("{}".into(), "$", "'code' is a required property".into()),
        (
            r#"{"globals_dict": {}}"#.into(),
            "$",
            "'code' is a required property".into(),
        ),
        (
            r#"{"code": 5}"#.into(),
            "$",
            "'globals_dict' is a required property".into(),
        ),
        (
            r#"{"code": 5, "globals_dict": {}}"#.into(),
            "$.code",
            "5 is not of type 'string'".into(),
        ),
        (
            r#"{"code": "", "globals_dict": [1.5]}"#.into(),
            "$.globals_dict",
            "[1.5] is not of type 'object'".into(),
        ),
        (
            r#"{"code": 5, "globals_dict": 6}"#.into(),
            "$.globals_dict",
            "6 is not of type 'object'".into(),
        ),
        (both(r#""slug": 5"#), "$.slug", any("5")),
        (
            both(r#""limit_overrides_context": true"#),
            "$.limit_overrides_context",
            any("True"),
        ),
        (
            both(r#""python_path": "python_lib.zip""#),
            "$.python_path",
            any("'python_lib.zip'"),
        ),
        (
            both(r#""python_path": [5]"#),
            "$.python_path[0]",
            "5 is not of type 'string'".into(),
        ),
        (
            both(r#""unsafely": null"#),
            "$.unsafely",
            "None is not of type 'boolean'".into(),
        ),
        (
            both(r#""unsafely": 1"#),
            "$.unsafely",
            "1 is not of type 'boolean'".into(),
        ),
    ] {
        let text: String = text;
        let message: String = message;
        let expected = format!("Payload JSON did not match schema at path {path}: {message}");
        let answer = post_payload(service.address, &text);
        assert_error(&text, &answer, &expected);
    }
}

#[test]
fn what_python_could_not_load_is_refused_with_the_reason() {
    let service = Service::start("");
    let with = |value: &str| format!(r#"{{"code": "", "globals_dict": {{"a": {value}}}}}"#);
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    for (case, text, part) in [
        ("integer", with(&"9".repeat(4301)), "4300 digits"),
        (
            "negative",
            with(&format!("-{}", "1".repeat(5000))),
            "4300 digits",
        ),
        ("arrays", with(&deep(1000)), "levels"),
        ("far too deep", with(&deep(100_000)), "levels"),
        ("unclosed", "[".repeat(100_000), "levels"),
    ] {
        let answer = post_payload(service.address, &text);
        assert_eq!(answer.status, 400, "{case}");
        assert_eq!(answer.header("content-type"), Some(JSON), "{case}");
        let error = answer.json()["error"].to_string();
        assert!(error.contains(part), "{case}: {error}");
        assert!(error.len() < 500, "{case}: the text itself is in it");
    }
    let most = post_payload(service.address, &with(&"9".repeat(4300)));
    assert_eq!(most.status, 200, "{most:?}");
}

const PYTHON_PATH: &str = "Only allowed entry in 'python_path' is 'python_lib.zip'";
const FILE_NAME: &str = "Only allowed name for uploaded file is 'python_lib.zip'";
const UNSAFELY: &str = "Refusing codejail execution with unsafely=true";

#[test]
fn an_execution_is_logged_by_the_originals_telemetry_names() {
    let service = Service::launch(&Setup {
        overrides: "[limit_overrides.patient]\nREALTIME = 60",
        ..Setup::default()
    });
    service.wait_until_healthy();
    let run = Run::new("x = 1").context("patient");
    service.run(&run).success();
    let line = service.wait_for_event("execution");
    let expected = "codejail.exec.status=\"executed.success\" codejail.exec.slug=\"test\" \
                    codejail.exec.limit_override=\"patient\" codejail.exec.python_path_len=0 \
                    codejail.exec.files_count=0";
    assert!(line.contains(expected), "{line}");
}

#[test]
fn what_is_not_allowed_is_refused() {
    let service = Service::start("");
    for (path, allowed) in [
        (r#"["other.zip"]"#, false),
        (r#"[""]"#, false),
        (r#"["./python_lib.zip"]"#, false),
        (r#"["python_lib.zip", "/"]"#, false),
        (r#"["python_lib.zip\u0000"]"#, false),
        ("[]", true),
        ("null", true),
    ] {
        let text = payload(&format!(r#", "python_path": {path}"#));
        let answer = post_payload(service.address, &text);
        if allowed {
            assert_eq!(answer.success(), json!({"x": 1}), "{path}");
        } else {
            assert_error(path, &answer, PYTHON_PATH);
        }
    }
    let answer = post_payload(service.address, &payload(r#", "unsafely": true"#));
    assert_error("unsafely", &answer, UNSAFELY);
    let answer = post_payload(service.address, &payload(r#", "unsafely": false"#));
    assert_eq!(answer.success(), json!({"x": 1}));

    let text = payload("");
    for (name, filename, allowed) in [
        ("other.zip", "python_lib.zip", false),
        ("", "python_lib.zip", false),
        // The name of the form field is the name of the file.
        ("python_lib.zip", "another name", true),
    ] {
        let parts = [
            ("payload", None, text.as_bytes()),
            (name, Some(filename), b"x".as_slice()),
        ];
        let answer = post(service.address, Some(MULTIPART), multipart(&parts));
        if allowed {
            assert_eq!(answer.success(), json!({"x": 1}), "{name}");
        } else {
            assert_error(name, &answer, FILE_NAME);
        }
    }
}

#[test]
fn answers_are_counted_by_the_originals_names() {
    let service = Service::start("");
    let counted = |service: &Service, name: &str| {
        let metrics = service.get("/metrics").body;
        let line = format!("codejail_requests_total{{status=\"{name}\"}} 1");
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}:\n{metrics}"
        );
    };
    let ask = |text: &str| post_payload(service.address, text);
    let with = |rest: &str| payload(rest);
    let file = || {
        let text = payload("");
        let parts = [
            ("payload", None, text.as_bytes()),
            ("other", Some("other"), b"x".as_slice()),
        ];
        post(service.address, Some(MULTIPART), multipart(&parts))
    };
    for (name, answer) in [
        (
            "invalid.payload.missing",
            post(service.address, Some(FORM), ""),
        ),
        ("invalid.payload.bad_json", ask("{")),
        ("invalid.payload.schema_mismatch", ask("{}")),
        (
            "invalid.python_path",
            ask(&with(r#", "python_path": ["a"]"#)),
        ),
        ("invalid.files", file()),
        ("invalid.unsafely", ask(&with(r#", "unsafely": true"#))),
        ("executed.success", ask(&with(""))),
        (
            "executed.error",
            ask(r#"{"code": "1/0", "globals_dict": {}}"#),
        ),
    ] {
        assert!(matches!(answer.status, 200 | 400), "{name}: {answer:?}");
        counted(&service, name);
    }
    let off = Service::start("enabled = false");
    post_payload(off.address, &payload(""));
    counted(&off, "disabled.feature_switch");
    let wrong = Service::launch(&Setup {
        overrides: "[layers]\nlandlock = 'off'",
        ..Setup::default()
    });
    let answer = post_payload(wrong.address, &payload(""));
    assert_eq!(answer.status, 500, "{answer:?}");
    counted(&wrong, "disabled.safety_checks_failed");
}

/// Each request has one mistake less than the request before.
#[test]
fn of_several_mistakes_the_first_of_the_table_is_reported() {
    let service = Service::start("");
    let file = ("other", Some("other"), b"x".as_slice());
    let ask = |payload: Option<&str>| {
        let mut parts = vec![file];
        parts.extend(payload.map(|payload| ("payload", None, payload.as_bytes())));
        post(service.address, Some(MULTIPART), multipart(&parts))
    };
    let missing = "Missing 'payload' parameter in POST body";
    assert_error("no payload", &ask(None), missing);
    let json = "Unable to parse payload JSON: Expecting value: line 1 column 1 (char 0)";
    assert_error("no JSON", &ask(Some("")), json);
    let schema = "Payload JSON did not match schema at path $: 'code' is a required property";
    let text = r#"{"python_path": ["a"], "unsafely": true}"#;
    assert_error("no code", &ask(Some(text)), schema);
    let text = payload(r#", "python_path": ["a"], "unsafely": true"#);
    assert_error("path, file, unsafely", &ask(Some(&text)), PYTHON_PATH);
    let text = payload(r#", "unsafely": true"#);
    assert_error("file, unsafely", &ask(Some(&text)), FILE_NAME);
    assert_error("unsafely", &post_payload(service.address, &text), UNSAFELY);
}
