//! The page for people and its JSON: where they are, and what they must not show or keep. `make
//! test-page` looks at the page in a browser.

use super::addresses::metrics_address;
use super::ask_with;
use codejail_harness::http::get;
use codejail_harness::wait::{END_MAX, wait_until};
use codejail_harness::{Run, Service};
use nix::sys::signal::Signal::{SIGHUP, SIGTTIN};
use serde_json::Value;

/// As many as `supervisor/src/request/finished.rs` keeps.
const KEPT_MAX: usize = 100;

fn state(service: &Service) -> Value {
    let answer = get(metrics_address(service), "/page.json").expect("an answer");
    assert_eq!(answer.status, 200);
    answer.json()
}

fn executions(service: &Service) -> Vec<Value> {
    let state = state(service);
    state["executions"].as_array().expect("a list").clone()
}

#[test]
fn the_page_is_on_the_address_of_metrics_and_not_on_that_of_the_api() {
    let service = Service::start("metrics.bind = \"127.0.0.1:0\"");
    for path in ["/", "/page.json"] {
        assert_eq!(service.get(path).status, 404, "{path}");
        let answer = get(metrics_address(&service), path).expect("an answer");
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
    }
}

#[test]
fn the_last_hundred_executions_are_kept_and_the_newest_comes_first() {
    let service = Service::start("metrics.bind = \"127.0.0.1:0\"");
    // Executions are listed in the order in which their sandboxes end, which is not always that of
    // the requests.
    let sent = KEPT_MAX + KEPT_MAX / 2;
    for number in 0..sent {
        let payload = format!(r#"{{"code": "x = 1", "globals_dict": {{}}, "slug": "{number}"}}"#);
        assert_eq!(ask_with(&service, &payload, "").status, 200);
    }
    wait_until("a line for each execution", END_MAX, || {
        service.events("execution").len() == sent
    });
    let newest = (sent - 1).to_string();
    wait_until("the last execution", END_MAX, || {
        executions(&service)
            .iter()
            .any(|execution| execution["slug"] == newest.as_str())
    });
    let kept = executions(&service);
    assert_eq!(kept.len(), KEPT_MAX);
    assert!(!kept.iter().any(|execution| execution["slug"] == "0"));
    assert!(kept[0]["at"].as_f64() > kept[KEPT_MAX - 1]["at"].as_f64());
}

#[test]
fn neither_code_nor_globals_nor_output_nor_a_variable_of_sandboxes_is_shown() {
    let service = Service::start(
        "metrics.bind = \"127.0.0.1:0\"\nlog.payloads = true\n\
         python.env = { TOKEN = \"secret-of-the-operator\" }",
    );
    let run = Run::new("print('secret-of-the-output'); raise ValueError(secret)");
    service.run(&run.globals(r#"{"secret": "secret-of-the-learner"}"#));
    wait_until("the execution", END_MAX, || {
        !executions(&service).is_empty()
    });
    let shown = state(&service).to_string();
    assert!(!shown.contains("secret-of"), "{shown}");
    // The log has the payload, as it was told: so there was something to show.
    assert!(service.log().contains("secret-of-the-learner"));
    assert!(shown.contains("python.env.TOKEN"));
}

#[test]
fn configuration_and_pool_are_those_in_force() {
    let service = Service::start("workers = 1\nmetrics.bind = \"127.0.0.1:0\"");
    let row = |key: &str| {
        let state = state(&service);
        let rows = state["configuration"]["rows"].as_array().expect("a list");
        let found = rows.iter().find(|row| row["key"] == key).cloned();
        found.unwrap_or_else(|| panic!("no {key}"))
    };
    assert_eq!(row("reply_bytes_max")["source"], "default");
    service.reconfigure("reply_bytes_max = 20000");
    service.tell(SIGHUP);
    service.wait_for_event("configuration_reloaded");
    let changed = row("reply_bytes_max");
    assert_eq!(changed["value"], "20000");
    let source = changed["source"].as_str().expect("a text");
    assert!(source.ends_with("codejail.toml"), "{source}");
    service.tell(SIGTTIN);
    wait_until("a second worker", END_MAX, || {
        state(&service)["pool"]["workers_serving"] == 2
    });
    assert_eq!(state(&service)["pool"]["workers_configured"], 2);
}
