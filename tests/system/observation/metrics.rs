//! Metrics as a whole: the list has what a service shows, each bound stands beside the value that
//! it bounds, and the number of labels is bounded.

use super::SHORT;
use codejail_harness::http::post_payload;
use codejail_harness::wait::{END_MAX, wait_until};
use codejail_harness::{Run, Service};
use nix::sys::signal::Signal::SIGHUP;
use serde_json::json;
use std::collections::BTreeSet;

/// The names that docs/metrics.md lists, which a unit test compares with the code's list.
fn documented() -> BTreeSet<String> {
    let document = include_str!("../../../docs/metrics.md");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `"));
    let names = rows.filter_map(|row| Some(row.split_once('`')?.0.to_owned()));
    names
        .filter(|name| name.starts_with("codejail_") || name.starts_with("process_"))
        .collect()
}

/// Names with their labels, without values. Buckets and sums have the name of their histogram.
fn series(service: &Service) -> BTreeSet<String> {
    let text = service.get("/metrics").body;
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned()))
        .collect()
}

fn families(service: &Service) -> BTreeSet<String> {
    let text = service.get("/metrics").body;
    let heads = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    heads
        .map(|head| head.split(' ').next().expect("a name").to_owned())
        .collect()
}

#[test]
fn a_service_shows_every_metric_of_the_list_and_no_other() {
    let service = Service::start(SHORT);
    service.run(&Run::new("x = 1").context("short")).success();
    // An execution is counted when its sandbox is gone.
    wait_until("the execution", END_MAX, || {
        service.metric("codejail_executions_total") == 1
    });
    let mut expected = documented();
    // These are shown when they have occurred once.
    expected.remove("codejail_cold_imports_total");
    expected.remove("codejail_startup_check_failures_total");
    assert_eq!(families(&service), expected);
}

#[test]
fn what_fills_up_is_seen_beside_its_bound() {
    let service = Service::start("workers = 1\nqueue_length_max = 1\nqueue_wait_max_ms = 20000");
    let pair = |name: &str| (service.metric(name), service.metric(&format!("{name}_max")));
    assert_eq!(pair("codejail_sandboxes_busy"), (0, 1));
    assert_eq!(pair("codejail_queue_length"), (0, 1));
    assert_eq!(service.metric("codejail_queue_oldest_wait_seconds_max"), 20);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| service.execute("import time; time.sleep(2)").success());
        }
        wait_until("one that runs and one that waits", END_MAX, || {
            pair("codejail_sandboxes_busy") == (1, 1) && pair("codejail_queue_length") == (1, 1)
        });
        assert!(
            service
                .try_metric("codejail_queue_oldest_wait_seconds")
                .expect("metrics")
                > 0.0
        );
        let refused = service.execute("x = 1");
        assert_eq!(refused.status, 503);
        assert!(refused.header("retry-after").is_some());
    });
    let refused = "codejail_requests_refused_total{reason=\"queue_full\"} 1";
    let metrics = service.get("/metrics").body;
    assert!(metrics.lines().any(|line| line == refused), "{metrics}");
    assert_eq!(
        service
            .try_metric("codejail_queue_oldest_wait_seconds")
            .expect("metrics"),
        0.0
    );
}

#[test]
fn nothing_that_a_client_sends_adds_a_series() {
    let service = Service::start(SHORT);
    let ask = |number: usize| {
        let text = format!("hostile-{number}\"}} 1\ncodejail_forged 1 #");
        let payload = json!({"code": format!("class m{number}: pass\nimport sys; sys.modules['m{number}'] = m{number}"),
            "globals_dict": {}, "slug": text, "limit_overrides_context": text});
        assert_eq!(
            post_payload(service.address, &payload.to_string()).status,
            200
        );
    };
    ask(0);
    wait_until("its end", END_MAX, || {
        service.metric("codejail_executions_total") == 1
    });
    let before = series(&service);
    (1..=5).for_each(ask);
    wait_until("their ends", END_MAX, || {
        service.metric("codejail_executions_total") == 6
    });
    let after = series(&service);
    assert_eq!(before, after);
    assert!(
        !after
            .iter()
            .any(|series| series.contains("hostile") || series.contains("forged"))
    );
    // A context that the configuration names is a label.
    service.run(&Run::new("x = 1").context("short")).success();
    let named = "codejail_context_executions_total{context=\"short\",end=\"success\"}";
    wait_until(named, END_MAX, || series(&service).contains(named));
}

#[test]
fn workers_layers_and_reloads_are_states_that_an_alert_can_look_at() {
    let service = Service::start("workers = 1");
    let value = |name: &str| -> f64 {
        let metrics = service.get("/metrics").body;
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name}:\n{metrics}"))
            .parse()
            .expect("a number")
    };
    assert_eq!(value("codejail_workers{state=\"serving\"}"), 1.0);
    assert_eq!(value("codejail_workers_configured"), 1.0);
    for layer in ["seccomp", "rlimits"] {
        assert_eq!(
            value(&format!("codejail_layer{{layer=\"{layer}\",state=\"on\"}}")),
            1.0
        );
        assert_eq!(
            value(&format!(
                "codejail_layer{{layer=\"{layer}\",state=\"off\"}}"
            )),
            0.0
        );
    }
    let read = "codejail_config_last_reload_success_timestamp_seconds";
    let at_start = value(read);
    assert_eq!(value("codejail_config_last_reload_successful"), 1.0);
    service.reconfigure("workers = 0");
    service.tell(SIGHUP);
    service.wait_for_event("reload_failed");
    assert_eq!(value("codejail_config_last_reload_successful"), 0.0);
    assert_eq!(
        value("codejail_config_reloads_total{result=\"failed\"}"),
        1.0
    );
    service.reconfigure("workers = 2");
    service.tell(SIGHUP);
    service.wait_for_event("configuration_reloaded");
    assert_eq!(value("codejail_config_last_reload_successful"), 1.0);
    assert!(value(read) > at_start);
    wait_until("two workers, and the first one replaced", END_MAX, || {
        value("codejail_workers{state=\"serving\"}") == 2.0
            && value("codejail_workers_recycled_total{reason=\"reload\"}") >= 1.0
            && value("codejail_workers{state=\"draining\"}") == 0.0
            && value("codejail_worker_starts_total{result=\"served\"}") >= 3.0
    });
    for process in [
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_cpu_seconds_total",
    ] {
        assert!(value(process) > 0.0, "{process}");
    }
}
