//! The log as a whole: its document, its forms, its bounds, and what hostile clients can write into
//! it.

use super::{SHORT, events, execution};
use codejail_harness::http::{FORM, MULTIPART, multipart, post, post_payload};
use codejail_harness::wait::{END_MAX, wait_until};
use codejail_harness::{Run, Service, Setup};
use nix::sys::signal::Signal::SIGHUP;
use serde_json::Value;
use std::collections::BTreeSet;

const DOCUMENT: &str = include_str!("../../../docs/log.md");

/// The names of the fields in the document's table.
fn documented() -> BTreeSet<String> {
    let (_, table) = DOCUMENT
        .split_once("| field | what |\n|---|---|\n")
        .expect("the table");
    let rows = table.lines().map_while(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| Some(row.split_once('`')?.0.to_owned()))
        .collect()
}

/// The line of the document that is the sample of this event.
fn sample(id: &str) -> &'static str {
    let field = format!("event=\"{id}\"");
    let mut lines = DOCUMENT.lines();
    lines
        .find(|line| line.contains(&field))
        .unwrap_or_else(|| panic!("no sample of {id}"))
}

/// The sentence and the names of the fields of a line in text. No value of the compared lines
/// contains a space.
fn shape(line: &str) -> (String, Vec<String>) {
    let (_, line) = line.trim().split_once(": ").expect("a target");
    let start = line.find(" event=").expect("an event");
    let names = line[start..]
        .split(' ')
        .filter_map(|part| Some(part.split_once('=')?.0.to_owned()));
    (line[..start].to_owned(), names.collect())
}

#[test]
fn the_document_has_every_field_and_no_other_and_samples_as_real_lines_are() {
    let service = Service::start(&format!("output_bytes_max = 1024\n{SHORT}"));
    let library = std::fs::read(make_library()).expect("a library");
    service.run(
        &Run::new("import course; import sys; sys.stderr.write('x' * 5000); x = 'x' * 5000; 1 / 0")
            .library(library)
            .context("short"),
    );
    service.execute("import json, yaml; x = 1");
    let trace = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    super::ask_with(
        &service,
        r#"{"code": "x = 'x' * 10000", "globals_dict": {}}"#,
        trace,
    );
    execution(&service, 3);
    let known = documented();
    let mut seen = BTreeSet::new();
    for line in events(&service, "execution") {
        seen.extend(line.as_object().expect("an object").keys().cloned());
    }
    for name in &seen {
        assert!(known.contains(name), "docs/log.md has no {name}");
    }
    // It is not sure that a library of the venv is imported cold; only refusals have `unsaid`.
    let missing: Vec<_> = known
        .difference(&seen)
        .filter(|name| !["cold_imports", "unsaid"].contains(&name.as_str()))
        .collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
}

#[test]
fn the_samples_are_as_real_lines_are() {
    let service = Service::start(
        "[limits]\nCPU = 1\n[limit_overrides.\"course-v1:Org+Course+Run\"]\nCPU = 1",
    );
    let ask = |code: &str| {
        let payload = format!(
            r#"{{"code": "{code}", "globals_dict": {{}}, "slug": "problem",
                "limit_overrides_context": "course-v1:Org+Course+Run"}}"#
        );
        post_payload(service.address, &payload)
    };
    ask("while True: pass");
    post_payload(service.address, "{");
    for id in ["execution", "request_refused"] {
        let line = service.wait_for_event(id);
        assert_eq!(shape(&line), shape(sample(id)), "{line}");
    }
    // The line is the same in both forms, as `sed` and other programs that only know fields see it.
    for id in ["startup_check_passed", "service_serving"] {
        let line = service.wait_for_event(id);
        assert_eq!(shape(&line), shape(sample(id)), "{line}");
    }
}

/// A course library with one empty module, made by the sandboxes' Python.
fn make_library() -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("cj-course-{}.zip", std::process::id()));
    let code = "import sys, zipfile; zipfile.ZipFile(sys.argv[1], 'w').writestr('course.py', '')";
    let python = codejail_harness::python::sandbox_python();
    let made = std::process::Command::new(python)
        .arg("-c")
        .arg(code)
        .arg(&path)
        .status();
    assert!(made.expect("python").success());
    path
}

#[test]
fn refusals_have_the_originals_words_and_no_flood_of_lines() {
    let service = Service::start("log.format = \"json\"");
    let words = |part: &str| {
        wait_until(part, END_MAX, || {
            events(&service, "request_refused").iter().any(|line| {
                line["level"] == "ERROR"
                    && line["message"]
                        .as_str()
                        .is_some_and(|text| text.starts_with(part))
            })
        });
    };
    post_payload(service.address, "{");
    words("Payload was not valid JSON: Expecting property name");
    post_payload(service.address, "{}");
    words("Payload JSON did not match schema at path $: 'code' is a required property");
    post_payload(
        service.address,
        r#"{"code": "", "globals_dict": {}, "python_path": ["other.zip"]}"#,
    );
    words("Unexpected python_path entries in request: {\"other.zip\"}");
    let payload = br#"{"code": "", "globals_dict": {}}"#;
    let file = multipart(&[("payload", None, payload), ("other", Some("other"), b"x")]);
    post(service.address, Some(MULTIPART), file);
    words("Unexpected filenames in request: {\"other\"}");
    let before = events(&service, "request_refused").len();
    for _ in 0..300 {
        post(service.address, Some(FORM), "");
    }
    let unsaid = service.metric("codejail_log_refusals_unsaid_total");
    let said = events(&service, "request_refused").len() - before;
    assert!(unsaid > 0, "{said} lines");
    assert!(
        said as u64 + unsaid <= 300,
        "{said} lines, {unsaid} counted"
    );
}

#[test]
fn no_text_of_a_client_can_forge_a_line_or_a_field() {
    for (form, base) in [("text", ""), ("json", "log.format = \"json\"")] {
        let service = Service::start(base);
        let forged =
            "x\n2026-11-28T00:00:00Z ERROR codejail: forged event=\"forged\"\u{1b}[31m\u{202e} ";
        let long = "y".repeat(100_000);
        let payload = |slug: &str| {
            serde_json::json!({"code": "while True: pass", "globals_dict": {}, "slug": slug,
                "limit_overrides_context": slug, "python_path": []})
            .to_string()
        };
        for slug in [forged, &long] {
            post_payload(
                service.address,
                &payload(slug).replace("while True: pass", "1 / 0"),
            );
        }
        let wrong = payload(forged).replace("[]", &Value::from(vec![forged]).to_string());
        post_payload(service.address, &wrong);
        wait_until("their lines", END_MAX, || {
            let log = service.log();
            log.matches("\"executed.error\"").count() >= 2 && log.contains("invalid.python_path")
        });
        let log = service.log();
        for line in log.lines() {
            assert!(line.len() < 4096, "{form}: {line}");
            assert!(
                !line.contains('\u{1b}') && !line.contains('\u{202e}') || form == "json",
                "{line:?}"
            );
            match form {
                "json" => assert!(
                    serde_json::from_str::<Value>(line).is_ok_and(|line| line["event"] != "forged")
                ),
                _ => assert!(
                    line.starts_with("20") && !line.contains(" event=\"forged\""),
                    "{line}"
                ),
            }
        }
    }
}

#[test]
fn level_and_form_change_with_hup() {
    let service = Service::launch(&Setup {
        // Otherwise the variable of the test's own environment would count.
        env: &[("RUST_LOG", "")],
        ..Setup::default()
    });
    service.wait_until_healthy();
    service.execute("x = 1").success();
    service.wait_for_event("execution");
    service.reconfigure("log.format = \"json\"");
    service.tell(SIGHUP);
    wait_until("a reload in JSON", END_MAX, || {
        !events(&service, "configuration_reloaded").is_empty()
    });
    service.reconfigure("log.level = \"warn,codejail::reload=info\"");
    service.tell(SIGHUP);
    wait_until("another reload", END_MAX, || {
        events(&service, "configuration_reloaded").len() == 2
    });
    let executions = || service.metric("codejail_executions_total");
    service.execute("x = 1").success();
    wait_until("its end", END_MAX, || executions() == 2);
    assert!(
        events(&service, "execution").is_empty(),
        "{}",
        service.log()
    );
}

#[test]
fn a_filter_that_is_none_is_named_and_silences_nothing() {
    let service = Service::launch(&Setup {
        env: &[("RUST_LOG", "verbose")],
        ..Setup::default()
    });
    service.wait_until_healthy();
    let line = service.wait_for_event("log_filter_refused");
    assert!(
        line.contains("RUST_LOG: \"verbose\" is neither a level"),
        "{line}"
    );
}
