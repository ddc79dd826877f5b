//! The service from start to end: what stops it, what it outlives, what it leaves.

use crate::answers::SEE_LOGS;
use codejail_harness::http::Answer;
use codejail_harness::processes::Process;
use codejail_harness::root::is_root;
use codejail_harness::wait::{END_MAX, START_MAX, wait_for, wait_until};
use codejail_harness::{Run, Service, cgroups};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::collections::BTreeSet;
use std::thread;

/// Leaves a mark that it runs, and goes on for a while.
const LONG_RUN: &str = "import os, time; os.mkdir('tmp/running'); time.sleep(1.5); x = 1";

fn sigkill(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("kill");
}

fn wait_until_gone(processes: &[Process]) {
    wait_until("the end of all processes", END_MAX, || {
        !processes.iter().any(Process::lives)
    });
}

/// Calls `act` while the service executes [`LONG_RUN`]. Returns the answer to that execution.
fn during_a_run(service: &Service, act: impl FnOnce()) -> Answer {
    thread::scope(|scope| {
        let answer = scope.spawn(|| service.run(&Run::new(LONG_RUN).globals(r#"{"id": 7}"#)));
        service.wait_for_mark("running");
        act();
        answer.join().unwrap()
    })
}

#[test]
fn a_service_that_loses_its_spawner_fails_and_leaves_no_process() {
    let mut service = Service::start("workers = 2");
    let family = service.wait_for_processes(2 + 2 + 4);
    let cgroup = cgroups::of(service.workers()[0].pid);
    sigkill(service.spawner().pid);
    let status = service.wait();
    assert!(status.code().is_some_and(|code| code != 0), "{status}");
    assert!(service.log().contains("spawner"), "{}", service.log());
    wait_until_gone(&family);
    service.leaves_directories();
    cgroups::remove_what_is_left_of(cgroup);
}

#[test]
fn a_service_that_is_killed_leaves_no_process_and_no_directory() {
    let mut service = Service::start("workers = 2");
    let family = service.wait_for_processes(2 + 2 + 4);
    sigkill(service.pid());
    assert_eq!(service.wait().code(), None);
    wait_until_gone(&family);
    wait_until("no directory", END_MAX, || {
        service.scratch_directories().is_empty()
    });
}

#[test]
fn a_run_whose_worker_is_killed_is_answered_and_the_pool_recovers() {
    let service = Service::start("");
    let worker = service.workers().remove(0);
    let answer = during_a_run(&service, || sigkill(worker.pid));
    assert_eq!(answer.globals(), json!({"id": 7}));
    assert_eq!(answer.emsg(), SEE_LOGS);
    assert_eq!(service.value_of_x("x = 1"), json!(1));
    let workers = service.workers();
    assert_eq!(workers.len(), 1);
    assert_ne!(workers[0], worker);
    wait_for("the lost worker's directories gone", END_MAX, || {
        // The new worker's, its two sandboxes', and the one in which files wait to be removed.
        (service.scratch_directories().len() == 1 + 2 + 1).then_some(())
    });
}

#[test]
fn a_worker_that_hangs_is_replaced() {
    let service = Service::start("");
    let worker = service.workers().remove(0);
    kill(Pid::from_raw(worker.pid), Signal::SIGSTOP).expect("kill");
    // Its two ready sandboxes still serve two requests. The others need a worker that forks.
    for n in 0..4 {
        assert_eq!(service.value_of_x(&format!("x = {n}")), json!(n));
    }
    wait_until_gone(&[worker]);
}

#[test]
fn workers_are_recycled_without_losing_a_request() {
    let service = Service::start("max_requests = 5\nmax_requests_jitter = 0");
    let mut workers = BTreeSet::new();
    for n in 0..100 {
        assert_eq!(service.value_of_x(&format!("x = {n}")), json!(n));
        workers.extend(service.workers().iter().map(|worker| worker.pid));
    }
    assert!(workers.len() > 1, "{workers:?}");
    wait_until("one worker again", START_MAX, || {
        service.workers().len() == 1
    });
}

#[test]
fn a_service_that_is_told_to_end_answers_what_runs() {
    let mut service = Service::start("");
    let answer = during_a_run(&service, || service.signal(Signal::SIGTERM));
    assert_eq!(answer.success(), json!({"id": 7, "x": 1}));
    assert_eq!(service.wait().code(), Some(0), "{}", service.log());
    assert_eq!(service.scratch_directories().len(), 0);
}

#[test]
fn a_service_that_is_interrupted_ends_at_once_and_well() {
    let mut service = Service::start("");
    let kept_open = service.connect();
    service.signal(Signal::SIGINT);
    assert_eq!(service.wait().code(), Some(0), "{}", service.log());
    drop(kept_open);
}

#[test]
fn a_service_that_ends_while_it_is_busy_ends_well_each_time() {
    for _ in 0..10 {
        let mut service = Service::start("sandboxes_per_worker = 2");
        for n in 0..5 {
            assert_eq!(service.value_of_x(&format!("x = {n}")), json!(n));
        }
        // Directories are being removed and sandboxes prepared at this moment.
        service.signal(Signal::SIGTERM);
        assert_eq!(service.wait().code(), Some(0), "{}", service.log());
    }
}

#[test]
fn a_configuration_that_cannot_work_is_refused_by_name() {
    let mut cases = vec![
        ("wrokers = 2", 78, "wrokers"),
        (
            "workers = 0",
            78,
            "workers = 0: must be a whole number from 1 to 256",
        ),
        ("[limits]\nREALTIME = -1", 78, "limits.REALTIME = -1"),
        ("[layers]\nselinux = 'auto'", 78, "selinux"),
        ("[layers]\nlandlock = 'maybe'", 78, "maybe"),
        ("[python]\nbin = 'python'", 78, "python.bin = \"python\""),
        (
            "[python]\nbin = '/nonexistent/bin/python'",
            78,
            "/nonexistent/bin/python",
        ),
        (
            "[python]\nworker_module = '/nonexistent/m.so'",
            78,
            "/nonexistent/m.so",
        ),
        (
            "[sandbox]\nscratch_dir = '/nonexistent'",
            78,
            "/nonexistent",
        ),
        ("bind = '192.0.2.1:1'", 69, "192.0.2.1:1"),
    ];
    if is_root() {
        cases.extend([
            ("user = 'no-such-user-here'", 78, "no-such-user-here"),
            ("user = 'root'", 78, "root"),
            ("[layers]\nuid = 'off'", 78, "layers.uid"),
            // Also on a host with AppArmor: no profile names the place of the tests' binary.
            (
                "[layers]\napparmor = 'require'",
                78,
                "layers.apparmor is required",
            ),
        ]);
    }
    let wrong = |(overrides, status, part): &(&str, i32, &str)| {
        let (found, said) = Service::fail_to_start(overrides);
        let right = found == Some(*status) && said.contains(part);
        (!right).then(|| format!("{overrides}\n  ended with {found:?} and said: {said}"))
    };
    let wrong: Vec<String> = cases.iter().filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_service_that_is_not_enabled_is_healthy_and_refuses() {
    let service = Service::start("enabled = false");
    let refused = service.execute("x = 1");
    assert_eq!(refused.status, 500);
    assert_eq!(
        refused.json(),
        json!({"error": "Codejail service not enabled"})
    );
    let health = service.get("/health/").json();
    assert_eq!(health["status"], "OK");
    assert_eq!(service.get("/readyz").status, 503);
    assert_eq!(service.get("/livez").status, 200);
}

#[test]
fn metrics_tell_how_long_executions_took() {
    let service = Service::start("");
    let count = || -> u64 {
        let metrics = service.get("/metrics").body;
        let name = "codejail_execution_seconds_count ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0, |count| count.trim().parse().unwrap())
    };
    // The executions of the startup checks are not counted.
    assert_eq!(count(), 0);
    for _ in 0..3 {
        service.execute("x = 1").success();
    }
    assert_eq!(count(), 3);
    let metrics = service.get("/metrics").body;
    let executed = "codejail_requests_total{status=\"executed.success\"} 3";
    assert!(metrics.contains(executed), "{metrics}");
}

#[test]
fn more_requests_than_may_wait_are_refused_with_503() {
    let service = Service::start("queue_length_max = 0");
    let mut refused = None;
    let answer = during_a_run(&service, || refused = Some(service.execute("x = 1")));
    assert_eq!(answer.success(), json!({"id": 7, "x": 1}));
    let refused = refused.unwrap();
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert!(refused.json()["error"].is_string(), "{refused:?}");
}
