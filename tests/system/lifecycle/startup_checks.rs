//! The safety checks: those of each worker, in its own sandboxes before it may serve, and those of
//! the service.

use crate::answers::NOT_CONFIGURED;
use codejail_harness::own_python::OwnPython;
use codejail_harness::root::is_root;
use codejail_harness::wait::{END_MAX, START_MAX, wait_for, wait_until};
use codejail_harness::{Service, Setup, inject, needs_root};
use nix::sys::signal::Signal::SIGKILL;
use serde_json::{Value, json};
use std::net::TcpListener;

/// A library that does no harm.
const HARMLESS: &str = "";
/// A library with which code can list `/`, as far as the code can see.
const SABOTAGE: &str = "import os; os.listdir = lambda path: ['etc']";

const RECYCLING: &str = "max_requests = 3\nmax_requests_jitter = 0\n";

/// A Python whose `library` acts as a data file says. A new module would be an upgrade, after which
/// the worker with the old module no longer serves.
fn python(source: &str) -> OwnPython {
    let library = "exec(open(__file__.replace('.py', '.txt')).read())";
    let python = OwnPython::venv(&[("library", library)]);
    change(&python, source);
    python
}

fn change(python: &OwnPython, source: &str) {
    let lib = python.bin.ancestors().nth(2).expect("a venv").join("lib");
    let version = std::fs::read_dir(lib)
        .expect("lib")
        .next()
        .expect("python3.x");
    let site = version.expect("python3.x").path().join("site-packages");
    std::fs::write(site.join("library.txt"), source).expect("write");
}

fn launch(overrides: &str) -> Service {
    Service::launch(&Setup {
        overrides,
        ..Setup::default()
    })
}

fn wait_until_safe(service: &Service, safe: bool) {
    let (status, word) = if safe {
        (200, "OK")
    } else {
        (503, "UNAVAILABLE")
    };
    wait_for(word, START_MAX, || {
        let health = service.get("/health/");
        (health.status == status).then(|| assert_eq!(health.json()["status"], word))
    });
}

fn assert_refused(service: &Service) {
    let answer = service.execute("x = 1");
    assert_eq!(answer.status, 500, "{answer:?}");
    assert_eq!(answer.json(), json!({ "error": NOT_CONFIGURED }));
    assert_eq!(service.get("/readyz").status, 503);
    assert_eq!(service.get("/livez").status, 200);
}

#[test]
fn each_new_worker_is_checked_and_its_checks_are_no_executions() {
    let service = Service::start(RECYCLING);
    let ids = ["functionality", "disk", "files", "exec", "network"];
    let health = service.get("/health/").json();
    let passed: Vec<Value> = ids.map(|id| json!({"id": id, "failure": null})).into();
    assert_eq!(health["checks"], Value::from(passed));
    let first = service.workers();
    for n in 0..2 {
        assert_eq!(service.value_of_x(&format!("x = {n}")), json!(n));
    }
    // Five checks and two executions: if checks counted as executions, the worker would be
    // replaced.
    assert_eq!(
        service.events("worker_warmed").len(),
        1,
        "{}",
        service.log()
    );
    service.assert_works();
    service.wait_for_event("worker_retired");
    assert_eq!(service.events("startup_check_passed").len(), 2 * ids.len());
    assert!(!service.workers().contains(&first[0]));
    service.assert_works();
}

#[test]
fn while_no_worker_passes_nothing_is_executed_and_then_all_is_well() {
    let python = python(SABOTAGE);
    let service = launch(&python.overrides(&["library"]));
    let said = wait_for("a failure", START_MAX, || service.check_failure("disk"));
    assert!(said.contains("the code ran to its end"), "{said}");
    wait_until_safe(&service, false);
    assert_refused(&service);
    assert_eq!(service.check_failure("functionality"), None);
    service.wait_for_event_with("worker_launch_failed", "it failed its startup checks: disk");
    let metrics = service.get("/metrics").body;
    for part in [
        "codejail_startup_check{id=\"disk\"} 0",
        "codejail_startup_check{id=\"exec\"} 1",
        "codejail_startup_check_failures_total{id=\"disk\"}",
        "codejail_worker_failures_total",
    ] {
        assert!(metrics.contains(part), "{part}:\n{metrics}");
    }
    change(&python, HARMLESS);
    wait_until_safe(&service, true);
    assert_eq!(service.check_failure("disk"), None);
    service.assert_works();
    service.wait_for_processes(2 + 1 + 2);
}

#[test]
fn a_worker_that_fails_is_killed_and_the_one_before_serves_on() {
    let python = python(HARMLESS);
    let service = Service::start(&format!("{RECYCLING}{}", python.overrides(&["library"])));
    let first = service.workers();
    change(&python, SABOTAGE);
    wait_until("a successor that fails", START_MAX, || {
        service.assert_works();
        let failed = service.events("worker_launch_failed");
        failed
            .iter()
            .any(|line| line.contains("it failed its startup checks: disk"))
    });
    // The failure is reported. The worker that serves is as safe as before.
    assert!(service.check_failure("disk").is_some());
    wait_until_safe(&service, true);
    for n in 0..10 {
        assert_eq!(service.value_of_x(&format!("x = {n}")), json!(n));
        assert!(service.workers().contains(&first[0]));
    }
    if is_root() {
        // Without that worker, the failure of its successor decides.
        inject::signal(&first[0], SIGKILL);
        wait_until_safe(&service, false);
        assert_refused(&service);
    }
    change(&python, HARMLESS);
    wait_until("a repaired service", START_MAX, || {
        service.check_failure("disk").is_none() && service.get("/health/").status == 200
    });
    service.assert_works();
    wait_until("the usual workers", END_MAX, || {
        service.workers().len() == 1
    });
}

#[test]
fn a_worker_that_fails_beside_another_leaves_the_service_safe() {
    needs_root!();
    let python = python(HARMLESS);
    let service = Service::start(&format!("workers = 2\n{}", python.overrides(&["library"])));
    wait_until("both workers", START_MAX, || {
        service.get("/health/").json()["workers"] == 2
    });
    change(&python, SABOTAGE);
    inject::signal(&service.workers()[0], SIGKILL);
    service.wait_for_event_with("worker_launch_failed", "it failed its startup checks: disk");
    let health = service.get("/health/");
    assert_eq!(health.status, 200, "{health:?}");
    assert_eq!(health.json()["workers"], 1);
    assert!(service.check_failure("disk").is_some());
    for n in 0..10 {
        assert_eq!(service.value_of_x(&format!("x = {n}")), json!(n));
    }
}

#[test]
fn a_service_that_can_connect_where_it_must_not_is_not_safe() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let overrides = format!("egress_check = 'localhost:{port}'");
    let service = launch(&overrides);
    let said = wait_for("a failure", START_MAX, || service.check_failure("egress"));
    assert!(said.contains(&format!("localhost:{port}")), "{said}");
    wait_until_safe(&service, false);
    assert_refused(&service);
    drop(service);

    // Nothing listens there any more.
    drop(listener);
    let service = Service::start(&overrides);
    let health = service.get("/health/").json();
    let egress = json!({"id": "egress", "failure": null});
    assert!(
        health["checks"].as_array().unwrap().contains(&egress),
        "{health}"
    );
    service.assert_works();
}
