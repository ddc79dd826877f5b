//! Faults of the service's own processes: each ends as docs/faults.md says. Worker, sandbox and
//! spawner are killed, stopped, and made to send nonsense.
//!
//! The faults come from outside, which takes root. Without root these tests are skipped.

use crate::answers::{KILLED, SEE_LOGS};
use codejail_harness::http::Answer;
use codejail_harness::inject::{SPAWNER_SOCKET, WORKER_CONTROL, signal};
use codejail_harness::processes::Process;
use codejail_harness::wait::{END_MAX, START_MAX, wait_for, wait_until};
use codejail_harness::{Run, Service, inject, needs_root, processes};
use codejail_protocol::frame;
use codejail_protocol::job::SandboxReport;
use nix::sys::signal::Signal::{SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGSTOP, SIGTERM};
use serde_json::json;
use std::fs::OpenOptions;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

const GARBAGE: &[u8] = &[0xff; 40];

/// The idle sandboxes of a service with one worker and one place: the next one, and a spare.
fn sandboxes(service: &Service) -> Vec<Process> {
    // A third sandbox would be that of an earlier run, which ends.
    wait_for("two ready sandboxes", START_MAX, || {
        let ready = service.get("/readyz").json()["sandboxes_ready"].as_u64();
        let worker = service.workers().pop()?;
        let sandboxes = processes::children(worker.pid);
        (ready == Some(2) && sandboxes.len() == 2).then_some(sandboxes)
    })
}

/// Does something to the sandbox that executes. Returns the answer to that execution.
fn during_a_run(service: &Service, code: &str, act: impl FnOnce(&Process)) -> Answer {
    let idle = sandboxes(service);
    let code = format!("import os, time; os.mkdir('tmp/running'); {code}");
    let run = Run::new(code).globals(r#"{"id": 7}"#);
    thread::scope(|scope| {
        let answer = scope.spawn(|| service.run(&run));
        let dir = service.wait_for_mark("running");
        let owner = std::os::unix::fs::MetadataExt::uid(&dir.join("tmp").metadata().unwrap());
        let running = idle.iter().find(|sandbox| sandbox.uid == owner);
        act(running.expect("the running one was idle before"));
        answer.join().unwrap()
    })
}

#[test]
fn an_idle_worker_that_is_killed_is_replaced() {
    needs_root!();
    let service = Service::start("");
    let worker = service.workers().remove(0);
    signal(&worker, SIGKILL);
    service.wait_for_event("worker_lost");
    service.assert_works();
    assert!(!service.workers().contains(&worker));
}

/// A service manager sends these signals to every process of a service. In a PID namespace the
/// kernel keeps most of them from a worker.
#[test]
fn a_worker_outlives_what_a_service_manager_sends_to_all_also_without_a_pid_namespace() {
    needs_root!();
    let none = "[layers]\nnamespaces = 'off'\nmounts = 'off'";
    for layers in ["", none] {
        let service = Service::start(layers);
        sandboxes(&service);
        let worker = service.workers().remove(0);
        for sent in [SIGTERM, SIGINT, SIGHUP, SIGQUIT] {
            signal(&worker, sent);
            // The sandboxes of the last of these runs are forked after the signal.
            for _ in 0..4 {
                service.assert_works();
            }
        }
        assert_eq!(service.workers(), [worker], "{layers}");
        // For its runs the signals have the same actions as in a fresh interpreter.
        let actions = "import signal, ctypes\n\
                       x = [str(signal.getsignal(n)) for n in (1, 3, 15)] + [signal.getsignal(2).__name__]";
        let fresh = json!(["0", "0", "0", "default_int_handler"]);
        let actions = service.value_of_x(&actions.replace("str(", "str(0 + "));
        assert_eq!(actions, fresh);
        for (sent, ends) in [
            ("SIGTERM", "status code: -15"),
            ("SIGHUP", "status code: -1"),
            ("SIGQUIT", "status code: -3"),
            ("SIGINT", "KeyboardInterrupt"),
        ] {
            let code = format!(
                "import os, signal, time; os.kill(os.getpid(), signal.{sent}); time.sleep(5)"
            );
            let emsg = service.execute(&code).emsg();
            assert!(emsg.contains(ends), "{sent}: {emsg}");
        }
    }
}

#[test]
fn a_run_whose_worker_is_stopped_ends_as_it_would() {
    needs_root!();
    let service = Service::start("");
    let worker = service.workers().remove(0);
    let answer = during_a_run(&service, "time.sleep(0.3); x = 1", |_| {
        signal(&worker, SIGSTOP);
    });
    assert_eq!(answer.success(), json!({"id": 7, "x": 1}));
    // The run's own timer needs no worker.
    let run = Run::new("while True: pass").context("short");
    assert_eq!(service.run(&run).emsg(), KILLED);
    service.wait_for_event_with("worker_lost", "did not take an order or end a sandbox");
    service.assert_works();
    assert!(!worker.lives());
}

#[test]
fn a_worker_that_breaks_the_protocol_is_killed() {
    needs_root!();
    let service = Service::start("");
    for garbage in [GARBAGE, b"x", &[0; 4], &[0; 60_000]] {
        let worker = service.workers().remove(0);
        let answer = during_a_run(&service, "time.sleep(10)", |_| {
            inject::say_as(&worker, WORKER_CONTROL, garbage);
        });
        assert_eq!(answer.emsg(), SEE_LOGS);
        service.assert_works();
        assert!(!worker.lives());
    }
    service.wait_for_event_with("worker_lost", "broke the protocol");
}

#[test]
fn an_idle_sandbox_that_is_killed_costs_nobody_a_run() {
    needs_root!();
    let service = Service::start("");
    let worker = service.workers();
    for _ in 0..5 {
        for sandbox in sandboxes(&service) {
            signal(&sandbox, SIGKILL);
        }
        service.assert_works();
    }
    service.wait_for_event("waiting_sandbox_ended");
    assert_eq!(service.workers(), worker);
}

#[test]
fn a_running_sandbox_that_is_killed_ends_only_its_run() {
    needs_root!();
    let service = Service::start("");
    let worker = service.workers();
    let answer = during_a_run(&service, "time.sleep(10)", |sandbox| {
        signal(sandbox, SIGKILL);
    });
    assert_eq!(answer.globals(), json!({"id": 7}));
    assert_eq!(answer.emsg(), KILLED);
    service.assert_works();
    assert_eq!(service.workers(), worker);
}

#[test]
fn a_sandbox_that_is_stopped_ends_at_its_deadline() {
    needs_root!();
    let service = Service::start("[limits]\nREALTIME = 1.5");
    let worker = service.workers();
    let answer = during_a_run(&service, "time.sleep(0.5); x = 1", |sandbox| {
        signal(sandbox, SIGSTOP);
    });
    assert_eq!(answer.emsg(), KILLED);
    // A sandbox has a timer only when it has its job. This job is larger than its pipe.
    let stopped = sandboxes(&service);
    for sandbox in &stopped {
        signal(sandbox, SIGSTOP);
    }
    let run = Run::new("x = 1").globals(format!(r#"{{"a": "{}"}}"#, "b".repeat(1 << 20)));
    assert_eq!(service.run(&run).emsg(), KILLED);
    assert_eq!(service.run(&run).emsg(), KILLED);
    service.assert_works();
    assert!(!stopped.iter().any(Process::lives));
    assert_eq!(service.workers(), worker);
}

#[test]
fn an_idle_sandbox_that_talks_nonsense_is_killed() {
    needs_root!();
    let service = Service::start("");
    let worker = service.workers();
    // Bytes that are no frame, half a frame, and reports that would be legal if the sandbox had a
    // job.
    let started = frame::encode(&SandboxReport::Started).unwrap();
    let finished = frame::encode(&SandboxReport::Finished {
        status: 0,
        cold_imports: vec!["no_such_library".to_owned()],
    })
    .unwrap();
    let whole_run = [started.as_slice(), &finished].concat();
    for nonsense in [GARBAGE, b"x", &started, &whole_run] {
        let idle = sandboxes(&service);
        for sandbox in &idle {
            let status = format!("/proc/{}/fd/63", sandbox.pid);
            let mut status = OpenOptions::new().write(true).open(status).unwrap();
            status.write_all(nonsense).unwrap();
        }
        // No job caused this, so no job fails: each goes to another sandbox.
        for n in 0..2 {
            let run = Run::new(format!("x = {n}")).globals(r#"{"id": 7}"#);
            assert_eq!(service.run(&run).success(), json!({"id": 7, "x": n}));
        }
        wait_until("their end", END_MAX, || !idle.iter().any(Process::lives));
    }
    service.wait_for_event("job_passed_on");
    assert_eq!(service.workers(), worker);
}

#[test]
fn a_spawner_that_talks_nonsense_ends_the_service() {
    needs_root!();
    let mut service = Service::start("");
    let family = service.wait_for_processes(2 + 1 + 2);
    inject::say_as(&service.spawner(), SPAWNER_SOCKET, GARBAGE);
    assert_eq!(service.wait().code(), Some(70), "{}", service.log());
    service.wait_for_event("spawner_link_broken");
    wait_until("no process", END_MAX, || !family.iter().any(Process::lives));
}

#[test]
fn while_the_spawner_is_stopped_runs_go_on_and_then_wait() {
    needs_root!();
    let service = Service::start("queue_wait_max_ms = 300");
    sandboxes(&service);
    let spawner = service.spawner();
    signal(&spawner, SIGSTOP);
    // Directories are not removed. When the worker has used all its uids, no sandbox is ready.
    let refused = (0..20).find_map(|n| {
        let answer = service.execute(&format!("x = {n}"));
        if answer.status != 503 {
            assert_eq!(answer.success(), json!({ "x": n }));
            return None;
        }
        Some(answer)
    });
    let refused = refused.expect("refused in the end");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    // A worker serves, and readiness does not ask for more.
    assert_eq!(service.get("/readyz").json()["sandboxes_ready"], json!(0));
    assert_eq!(service.get("/livez").status, 200);
    signal(&spawner, SIGCONT);
    sandboxes(&service);
    service.assert_works();
}

#[test]
fn a_service_whose_spawner_is_stopped_can_be_told_to_end() {
    needs_root!();
    let mut service = Service::start("graceful_timeout_ms = 1500");
    let family = service.wait_for_processes(2 + 1 + 2);
    let spawner = service.spawner();
    signal(&spawner, SIGSTOP);
    let told = Instant::now();
    service.signal(SIGTERM);
    assert_eq!(service.wait().code(), Some(70), "{}", service.log());
    let ended_after = told.elapsed();
    // Until then the spawner could still have gone on.
    assert!(
        ended_after >= Duration::from_millis(1500),
        "{ended_after:?}"
    );
    service.wait_for_event_with("spawner_stuck", "it has not ended after 1.5s");
    // The workers notice by themselves that their service is gone. Only directories are left, and
    // the spawner removes them when it goes on.
    wait_for("the workers' end", END_MAX, || {
        let lives = |process: &Process| process.pid != spawner.pid && process.lives();
        (!family.iter().any(lives)).then_some(())
    });
    assert_ne!(service.scratch_directories().len(), 0);
    signal(&spawner, SIGCONT);
    wait_until("no directory", END_MAX, || {
        service.scratch_directories().is_empty()
    });
}
