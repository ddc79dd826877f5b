//! HUP applies every change that it can, and names the others. A busy service stays ready.

use codejail_harness::wait::{START_MAX, wait_until};
use codejail_harness::wire::Wire;
use codejail_harness::{Run, Service, cgroups, needs_root};
use nix::sys::signal::Signal::{SIGHUP, SIGTERM};
use serde_json::{Value, json};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// The detail that `/health/` gives for a layer.
fn detail(service: &Service, layer: &str) -> String {
    let mut layers = service.layers().into_iter();
    let found = layers.find(|found| found["layer"] == layer).expect(layer);
    found["detail"].as_str().expect("text").to_owned()
}

/// Whether the files of a run may have so many MiB together.
fn fits(service: &Service, mib: usize) -> bool {
    let code = "
try:
    with open('tmp/big', 'wb') as f:
        for _ in range(mib): f.write(bytes(1 << 20))
    x = True
except OSError as error:
    x = error.errno != 28
";
    let globals = format!("{{\"mib\": {mib}}}");
    service.run(&Run::new(code).globals(globals)).success()["x"] == Value::Bool(true)
}

#[test]
fn a_reload_bounds_the_files_of_new_workers() {
    needs_root!();
    let service = Service::start("scratch_bytes_max = 2097152\n[limits]\nFSIZE = 100000000");
    assert!(!fits(&service, 4));
    service.reconfigure("scratch_bytes_max = 16777216");
    service.tell(SIGHUP);
    service.wait_for_events("worker_retired", 1);
    assert!(fits(&service, 4));
    let said = "HUP: scratch_bytes_max 2097152 -> 16777216 (new workers)";
    assert_eq!(service.log().matches(said).count(), 1, "{}", service.log());
    let mounts = detail(&service, "mounts");
    assert!(mounts.contains("; 16777216 bytes and "), "{mounts}");
    service.reconfigure("scratch_bytes_max = 2097152");
    service.tell(SIGHUP);
    service.wait_for_events("worker_retired", 2);
    assert!(!fits(&service, 4));
}

#[test]
fn a_reload_bounds_the_cgroups_of_new_workers() {
    let service = Service::start("[cgroup]\nmemory_bytes_max = 800000000");
    // A host without controllers can't bound memory, and the service says so.
    if !detail(&service, "cgroup").contains("memory.max 800000000") {
        let said = "cgroup.memory_bytes_max = 800000000 has no effect here";
        assert!(service.log().contains(said), "{}", service.log());
        return;
    }
    service.reconfigure("[cgroup]\nmemory_bytes_max = 700000000\npids_max = 777");
    service.tell(SIGHUP);
    service.wait_for_events("worker_retired", 1);
    let worker = service.workers().into_iter().next().expect("a worker");
    let group = cgroups::of(worker.pid).expect("a cgroup");
    let read = |file: &str| fs::read_to_string(group.join(file)).expect("read");
    let memory: u64 = read("memory.max").trim().parse().expect("a number");
    assert!((600_000_000..=700_000_000).contains(&memory), "{memory}");
    assert_eq!(read("pids.max").trim(), "777");
    assert!(detail(&service, "cgroup").contains("memory.max 700000000"));
}

#[test]
fn a_layer_that_takes_a_restart_is_named_at_each_reload_and_not_in_force() {
    let service = Service::start("");
    let apparmor = detail(&service, "apparmor");
    service.reconfigure("[layers]\napparmor = 'require'\nnamespaces = 'off'\ncgroup = 'off'");
    for time in 1..=2 {
        service.tell(SIGHUP);
        for layer in ["namespaces", "cgroup", "apparmor"] {
            let said = format!("HUP: layers.{layer} \"auto\" -> ");
            service.wait_for_event_with("fixed_key_changed", &said);
        }
        service.wait_for_events("fixed_key_changed", 3 * time);
        service.wait_for_events("worker_retired", time);
    }
    assert_eq!(detail(&service, "apparmor"), apparmor);
    assert_eq!(service.value_of_x("x = 1"), json!(1));
}

#[test]
fn a_preload_that_fails_is_named_once_whatever_the_number_of_workers() {
    let service = Service::start("workers = 2\n[python]\npreload = ['no_such_library']");
    service.wait_for_workers(2);
    let named = || service.events("preload_failed").len();
    assert_eq!(named(), 1, "{}", service.log());
    service.reconfigure("[python]\npreload = ['no_such_library', 'nor_this_one']");
    service.tell(SIGHUP);
    service.wait_for_events("worker_retired", 2);
    assert_eq!(named(), 2, "{}", service.log());
}

#[test]
fn a_busy_service_is_ready() {
    let service = Service::start("workers = 2\nqueue_wait_max_ms = 10000");
    service.wait_for_workers(2);
    let stop = AtomicBool::new(false);
    let polls = thread::scope(|scope| {
        for n in 0..3 {
            let (service, stop) = (&service, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let run = Run::new("y = x").globals(format!("{{\"x\": {n}}}"));
                    assert_eq!(service.run(&run).status, 200);
                }
            });
        }
        let polls: Vec<_> = (0..100).map(|_| service.get("/readyz")).collect();
        stop.store(true, Ordering::Relaxed);
        polls
    });
    let refused: Vec<_> = polls.iter().filter(|answer| answer.status != 200).collect();
    assert!(
        refused.is_empty(),
        "{} of 100: {:?}",
        refused.len(),
        refused[0]
    );
}

#[test]
fn a_service_that_drains_is_not_ready() {
    let mut service = Service::start("");
    let mut kept = Wire::open(service.address);
    thread::scope(|scope| {
        let running = scope.spawn(|| {
            service.execute("import os, time; os.mkdir('tmp/running'); time.sleep(3); x = 1")
        });
        service.wait_for_mark("running");
        // If the head of a request is on its way when the service is told to end, the request is
        // still answered.
        kept.say("GET /readyz HTTP/1.1\r\nHost: x\r\n");
        service.signal(SIGTERM);
        wait_until("no listener", START_MAX, || {
            std::net::TcpStream::connect(service.address).is_err()
        });
        kept.say("\r\n");
        let answer = kept.rest();
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("\"draining\":true"), "{answer}");
        assert_eq!(running.join().expect("a run").status, 200);
    });
    assert_eq!(service.wait().code(), Some(0));
}
