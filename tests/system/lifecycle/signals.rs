//! Signals that change a service while it serves, with the meanings that they have for gunicorn:
//! HUP, TTIN, TTOU, USR1.

use codejail_harness::wait::{END_MAX, wait_until};
use codejail_harness::{Run, Service};
use nix::sys::signal::Signal::{SIGHUP, SIGTTIN, SIGTTOU, SIGUSR1};
use serde_json::{Value, json};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

const CPU: &str = "import resource; x = resource.getrlimit(resource.RLIMIT_CPU)[0]";

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Two clients ask all the time while `act` does something. Each request must have its right
/// answer.
fn while_clients_ask(service: &Service, act: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    let asked = AtomicUsize::new(0);
    let client = |name: &str| {
        while !stop.load(Ordering::Relaxed) {
            let n = asked.fetch_add(1, Ordering::Relaxed);
            let run = Run::new(format!("y = x + {n}")).globals(format!(r#"{{"x": {n}}}"#));
            let answer = service.run(&run);
            assert_eq!(answer.success(), json!({"x": n, "y": 2 * n}), "{name}");
        }
    };
    thread::scope(|scope| {
        for name in ["first", "second"] {
            scope.spawn(move || client(name));
        }
        // Stops the clients, also after a panic.
        let _stop = StopAtEnd(&stop);
        act();
    });
    assert!(asked.load(Ordering::Relaxed) > 20);
}

#[test]
fn a_new_configuration_is_applied_and_no_request_is_lost() {
    let service = Service::start("workers = 2\nqueue_wait_max_ms = 10000");
    let mut workers = service.wait_for_workers(2);
    while_clients_ask(&service, || {
        for time in 1..=3 {
            service.reconfigure(&format!("[limits]\nCPU = {time}"));
            service.tell(SIGHUP);
            service.wait_for_events("configuration_reloaded", time);
            // A change that needs no new worker holds for the next request.
            assert_eq!(service.value_of_x(CPU), json!(time));
            service.wait_for_events("worker_retired", 2 * time);
            let successors = service.wait_for_workers(2);
            assert!(!successors.iter().any(|worker| workers.contains(worker)));
            workers = successors;
        }
    });
    // Each of the eight workers has passed the five checks before it served.
    assert_eq!(service.events("startup_check_passed").len(), 8 * 5);
    assert!(!service.log().contains("ERROR"), "{}", service.log());
}

#[test]
fn a_reload_gives_workers_their_new_libraries_and_requests_their_new_bounds() {
    let service = Service::start("enabled = false");
    assert_eq!(service.execute("x = 1").status, 500);
    service.reconfigure(
        "enabled = true\nbody_bytes_max = 2048\n[python]\npreload = ['no_such_library']",
    );
    service.tell(SIGHUP);
    service.wait_for_event_with("preload_failed", "no_such_library");
    service.wait_for_workers(1);
    assert_eq!(service.value_of_x("x = 1"), json!(1));
    let large = Run::new("x = 1").globals(format!(r#"{{"a": "{}"}}"#, "b".repeat(3000)));
    assert_eq!(service.run(&large).status, 413);
}

#[test]
fn a_configuration_that_is_wrong_changes_nothing() {
    let service = Service::start("");
    let workers = service.workers();
    service.reconfigure("[limits]\nCPU = -1\nNPROC = 3");
    service.tell(SIGHUP);
    service.wait_for_events("reload_failed", 1);
    let said = "limits.CPU = -1: must be a whole number from 0 to 1000000000";
    assert!(service.log().contains(said), "{}", service.log());
    fs::write(service.dir().join("codejail.toml"), "workers = [").unwrap();
    service.tell(SIGHUP);
    service.wait_for_events("reload_failed", 2);
    assert_eq!(service.value_of_x(CPU), json!(10));
    assert_eq!(service.workers(), workers);
}

#[test]
fn what_takes_a_restart_is_named_and_kept() {
    let service = Service::start("");
    let address = service.address;
    service.reconfigure(
        "bind = '127.0.0.1:1'\nsandboxes_per_worker = 2\nworkers = 9\n[limits]\nCPU = 7\n\
         [python]\nbin = '/nonexistent'\nenv = {A = 'b'}\n[layers]\nlandlock = 'require'",
    );
    service.tell(SIGHUP);
    for (event, said) in [
        (
            "fixed_key_changed",
            "HUP: bind \"127.0.0.1:0\" -> \"127.0.0.1:1\" takes a restart; it stays as it was",
        ),
        (
            "fixed_key_changed",
            "HUP: sandboxes_per_worker 1 -> 2 takes a restart; it stays as it was",
        ),
        (
            "fixed_key_changed",
            "HUP: workers = 9: more than 2 takes a restart; 2 are kept",
        ),
        (
            "fixed_key_changed",
            "-> \"/nonexistent\" takes a restart; it stays as it was",
        ),
        (
            "fixed_key_changed",
            "HUP: python.env.A (values not shown) takes a restart; it stays as it was",
        ),
        ("key_changed", "HUP: limits.CPU 10 -> 7 (at once)"),
        (
            "key_changed",
            "HUP: layers.landlock \"auto\" -> \"require\" (new workers)",
        ),
    ] {
        service.wait_for_event_with(event, said);
    }
    assert_eq!(service.events("fixed_key_changed").len(), 5);
    service.wait_for_events("worker_retired", 1);
    // There are as many workers as there are uids for.
    service.wait_for_workers(2);
    assert_eq!(service.get("/health/").status, 200);
    assert_eq!(service.address, address);
    assert_eq!(service.value_of_x(CPU), json!(7));
    assert_eq!(
        service.value_of_x("import os; x = 'A' in os.environ"),
        Value::Bool(false)
    );
}

#[test]
fn workers_come_and_go_one_at_a_time_within_bounds() {
    let service = Service::start("queue_wait_max_ms = 10000");
    let first = service.wait_for_workers(1);
    while_clients_ask(&service, || {
        for _ in 0..2 {
            service.tell(SIGTTIN);
            assert!(service.wait_for_workers(2).contains(&first[0]));
            service.tell(SIGTTOU);
            assert_eq!(service.wait_for_workers(1), first);
        }
        service.tell(SIGTTOU);
        service.wait_for_events("workers_bounded", 1);
        service.tell(SIGTTIN);
        service.wait_for_workers(2);
        service.tell(SIGTTIN);
        service.wait_for_events("workers_bounded", 2);
        service.tell(SIGUSR1);
        service.wait_for_event("log_reopen_ignored");
    });
    // The configuration's number of workers counts again.
    service.tell(SIGHUP);
    service.wait_for_events("worker_retired", 4);
    let last = service.wait_for_workers(1);
    assert!(!last.contains(&first[0]));
    assert_eq!(service.value_of_x("x = 1"), json!(1));
    service.wait_for_processes(2 + 1 + 2);
}

#[test]
fn more_workers_execute_more_at_a_time() {
    let service = Service::start("queue_length_max = 0");
    service.tell(SIGTTIN);
    service.wait_for_workers(2);
    let side_by_side = || {
        thread::scope(|scope| {
            let code = |n: u32| {
                format!("import os, time; os.mkdir('tmp/running{n}'); time.sleep(2); x = {n}")
            };
            let service = &service;
            let one = scope.spawn(move || service.execute(&code(1)));
            service.wait_for_mark("running1");
            let other = service.execute(&code(2));
            assert_eq!(one.join().unwrap().status, 200);
            other
        })
    };
    assert_eq!(side_by_side().success(), json!({"x": 2}));
    service.tell(SIGTTOU);
    service.wait_for_workers(1);
    wait_until("a single place", END_MAX, || side_by_side().status == 503);
}
