//! docs/operating.md: the tests cause each complaint of the table, and look for the answer where
//! the table says.

use super::{SHORT, events, execution};
use codejail_harness::http::post_payload;
use codejail_harness::wait::{END_MAX, wait_until};
use codejail_harness::{Run, Service};
use nix::sys::signal::Signal::SIGHUP;
use serde_json::Value;

const DOCUMENT: &str = include_str!("../../../docs/operating.md");

/// What a row of the first table names of the log and of the metrics.
fn row(complaint: &str) -> (&'static str, &'static str) {
    let start = format!("| {complaint}");
    let line = DOCUMENT.lines().find(|line| line.starts_with(&start));
    let line = line.unwrap_or_else(|| panic!("no row for {complaint}"));
    let cells: Vec<&str> = line.split(" | ").collect();
    assert!(cells.len() >= 3, "{line}");
    (cells[1], cells[2])
}

/// The names in backticks.
fn named(cell: &str) -> impl Iterator<Item = &str> {
    let parts = cell.split('`').skip(1).step_by(2);
    parts
        .flat_map(|part| part.split(" / "))
        .map(|part| part.split('{').next().unwrap_or(part))
}

/// This line has each field that the row names.
fn assert_in(complaint: &str, line: &Value) {
    for field in named(row(complaint).0).filter(|name| !name.contains([' ', '=', ':'])) {
        assert!(!line[field].is_null(), "{complaint}: no {field} in {line}");
    }
}

/// The service shows each metric that the row names, and has counted those in `counted`.
fn assert_metrics(service: &Service, complaint: &str, counted: &[&str]) {
    let metrics = service.get("/metrics").body;
    for name in named(row(complaint).1) {
        assert!(
            metrics.contains(&format!("# TYPE {name} ")),
            "{complaint}: {name}:\n{metrics}"
        );
    }
    for series in counted {
        let value = metrics
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        assert!(
            value.is_some_and(|value| value != "0"),
            "{complaint}: {series}:\n{metrics}"
        );
    }
}

#[test]
fn what_failed_by_which_limit_in_which_course_and_with_how_much_memory() {
    let service = Service::start(SHORT);
    service.run(&Run::new("import time; time.sleep(60)").context("short"));
    let line = execution(&service, 1);
    assert_in("\"codejail fails\"", &line);
    assert_in("Which limit was it", &line);
    assert_in("Which course has it?", &line);
    assert_in("How busy is it?", &line);
    assert_in("How much memory", &line);
    assert_eq!(
        line["message"],
        "killed: REALTIME limit of 0.3 s, context short"
    );
    assert_metrics(
        &service,
        "\"codejail fails\"",
        &["codejail_executions_total{end=\"wall\"}"],
    );
    assert_metrics(
        &service,
        "Which limit was it",
        &["codejail_limit_hits_total{limit=\"REALTIME\"}"],
    );
    let course = "codejail_context_executions_total{context=\"short\",end=\"wall\"}";
    assert_metrics(&service, "Which course has it?", &[course]);
    assert_metrics(
        &service,
        "How busy is it?",
        &["codejail_sandboxes_busy_max"],
    );
    assert_metrics(
        &service,
        "How much memory",
        &["codejail_execution_memory_bytes_count"],
    );
}

#[test]
fn who_is_turned_away_and_what_is_slow_the_first_time() {
    let service = Service::start("queue_length_max = 0\nlog.format = \"json\"");
    std::thread::scope(|scope| {
        scope.spawn(|| service.execute("import time; time.sleep(2)").success());
        wait_until("a run", END_MAX, || {
            service.metric("codejail_sandboxes_busy") == 1
        });
        assert_eq!(service.execute("x = 1").status, 503);
    });
    let refused = &events(&service, "request_refused")[0];
    assert_eq!(refused["codejail.exec.status"], "refused.busy");
    let series = "codejail_requests_refused_total{reason=\"queue_full\"}";
    assert_metrics(&service, "Requests are turned away", &[series]);
    // Any library of the venv will do. `six` must be there, but is loaded.
    let slug = r#"{"code": "import numpy", "globals_dict": {}, "slug": "slow"}"#;
    post_payload(service.address, slug);
    let line = execution(&service, 2);
    assert_in("The first run of a library is slow", &line);
    assert!(!events(&service, "cold_import").is_empty());
    let series = "codejail_cold_imports_total{module=\"numpy\"}";
    assert_metrics(&service, "The first run of a library is slow", &[series]);
}

#[test]
fn whose_request_it_was_whether_a_change_counts_and_what_confines() {
    let service = Service::start(SHORT);
    let trace = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    super::ask_with(&service, r#"{"code": "x = 1", "globals_dict": {}}"#, trace);
    assert_in("Whose request was it", &execution(&service, 1));
    service.reconfigure("limits.CPU = 2");
    service.tell(SIGHUP);
    wait_until("the reload", END_MAX, || {
        !events(&service, "configuration_reloaded").is_empty()
    });
    assert_eq!(events(&service, "key_changed")[0]["key"], "limits.CPU");
    let complaint = "Is what I changed in force?";
    assert_metrics(
        &service,
        complaint,
        &["codejail_config_last_reload_successful"],
    );
    let series = "codejail_layer{layer=\"seccomp\",state=\"on\"}";
    assert_metrics(&service, "Is it confined", &[series, "codejail_safe"]);
    // This file's tests have looked at each complaint of the table.
    let (_, table) = DOCUMENT
        .split_once("|---|---|---|---|---|\n")
        .expect("a table");
    assert_eq!(
        table
            .lines()
            .take_while(|line| line.starts_with('|'))
            .count(),
        10
    );
}
