//! Signals that come at moments, or to processes, for which they are not meant.

use codejail_harness::dir::TestDir;
use codejail_harness::http::Answer;
use codejail_harness::own_python::OwnPython;
use codejail_harness::processes::children;
use codejail_harness::wait::{START_MAX, wait_for};
use codejail_harness::{Service, Setup, inject};
use nix::sys::signal::Signal::{self, *};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::json;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Which processes get a signal.
#[derive(Clone, Copy, PartialEq)]
enum Whom {
    Supervisor,
    /// The supervisor, and the spawner once it catches signals.
    Both,
}

/// Whether a process has a handler for `signal`, as proc(5) says.
fn catches(pid: i32, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    caught.is_some_and(|mask| mask >> (signal as i32 - 1) & 1 == 1)
}

/// Sends `signal` again and again to the service, until `stop`: it waits until `file` has the
/// service's pid, and until the service has a child.
fn pester(file: &std::path::Path, signal: Signal, whom: Whom, stop: &AtomicBool) {
    let pid: i32 = wait_for("the service's pid", START_MAX, || {
        fs::read_to_string(file).ok()?.trim().parse().ok()
    });
    while !stop.load(Ordering::Relaxed) {
        let spawner = children(pid);
        for spawner in &spawner {
            if whom == Whom::Both && catches(spawner.pid, signal) {
                let _ = kill(Pid::from_raw(spawner.pid), signal);
            }
        }
        if !spawner.is_empty() && kill(Pid::from_raw(pid), signal).is_err() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Starts a service whose Python says nothing for a second, and sends `signal` to the service all
/// the time.
fn start_under(signal: Signal, whom: Whom) -> (Service, OwnPython) {
    let python = OwnPython::venv(&[("sitecustomize", "import time; time.sleep(1)")]);
    let dir = TestDir::new("signals");
    let file = dir.join("pid");
    let starter = format!("echo $$ > {}; exec \"$@\"", file.display());
    let overrides = python.overrides(&[]);
    let stop = AtomicBool::new(false);
    let service = thread::scope(|scope| {
        scope.spawn(|| pester(&file, signal, whom, &stop));
        let launched = std::panic::catch_unwind(|| {
            Service::launch(&Setup {
                overrides: &overrides,
                starter: &["sh", "-c", &starter, "sh"],
                ..Setup::default()
            })
        });
        stop.store(true, Ordering::Relaxed);
        launched.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    (service, python)
}

/// The signal comes while the service starts. The service does what the signal asks for when it is
/// up.
fn waits_until_it_is_up(signal: Signal, whom: Whom, event: &str) {
    let (service, _python) = start_under(signal, whom);
    service.wait_until_healthy();
    service.wait_for_event(event);
    assert_eq!(service.value_of_x("x = 1"), json!(1));
}

#[test]
fn a_reload_that_comes_while_the_service_starts_is_done_when_it_is_up() {
    waits_until_it_is_up(SIGHUP, Whom::Supervisor, "configuration_reloaded");
}

#[test]
fn a_worker_more_that_is_asked_for_while_the_service_starts_comes_when_it_is_up() {
    waits_until_it_is_up(SIGTTIN, Whom::Supervisor, "workers_changed");
}

#[test]
fn a_worker_less_that_is_asked_for_while_the_service_starts_is_refused_when_it_is_up() {
    waits_until_it_is_up(SIGTTOU, Whom::Supervisor, "workers_bounded");
}

#[test]
fn logs_that_are_rotated_while_the_service_starts_end_nothing() {
    waits_until_it_is_up(SIGUSR1, Whom::Supervisor, "log_reopen_ignored");
}

#[test]
fn an_upgrade_that_is_asked_for_while_the_service_starts_ends_nothing() {
    waits_until_it_is_up(SIGUSR2, Whom::Supervisor, "upgrade_ignored");
}

#[test]
fn an_upgrade_and_a_new_window_are_named_and_change_nothing() {
    let service = Service::launch(&Setup {
        env: &[("RUST_LOG", "debug")],
        ..Setup::default()
    });
    service.wait_until_healthy();
    let before = service.lasting_pids();
    service.tell(SIGUSR2);
    service.wait_for_event("upgrade_ignored");
    service.tell(SIGWINCH);
    service.wait_for_event("window_ignored");
    assert_eq!(service.value_of_x("x = 1"), json!(1));
    assert_eq!(service.lasting_pids(), before);
}

#[test]
fn no_process_of_the_service_is_born_with_signals_held_back() {
    let service = Service::start("");
    for process in service.wait_for_processes(5).iter().skip(1) {
        let status = fs::read_to_string(format!("/proc/{}/status", process.pid));
        // A sandbox may have ended meanwhile.
        let Ok(status) = status else { continue };
        let held = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
        assert_eq!(held.map(str::trim), Some("0000000000000000"), "{process:?}");
    }
}

#[test]
fn a_spawner_leaves_an_upgrade_to_the_supervisor() {
    let service = Service::start("");
    inject::signal(&service.spawner(), SIGUSR2);
    inject::signal(&service.spawner(), SIGWINCH);
    service.tell(SIGUSR2);
    service.wait_for_event("upgrade_ignored");
    assert_eq!(service.value_of_x("x = 1"), json!(1));
}

/// One request executes, and another waits for its place. Then `signal` goes to every process of
/// the service, first to the sandboxes. Returns the answers to both requests.
fn during_two_requests(service: &Service, signal: Signal) -> [Answer; 2] {
    thread::scope(|scope| {
        let code = "import os, time; os.mkdir('tmp/running'); time.sleep(3); x = 1";
        let first = scope.spawn(|| service.execute(code));
        service.wait_for_mark("running");
        let second = scope.spawn(|| service.execute("x = 2"));
        wait_for("a request that waits", START_MAX, || {
            (service.metric("codejail_queue_length") == 1).then_some(())
        });
        for process in service.processes().iter().rev() {
            // A process may be gone already, because of the end of a sandbox.
            let _ = kill(Pid::from_raw(process.pid), signal);
        }
        [first, second].map(|request| request.join().expect("an answer"))
    })
}

#[test]
fn a_manager_that_ends_every_process_is_not_taken_for_the_author() {
    let mut service = Service::start("");
    let [first, second] = during_two_requests(&service, SIGTERM);
    let emsg = "Couldn't execute sandboxed code: See logs.";
    assert_eq!(first.json()["emsg"], json!(emsg), "{first:?}");
    assert_eq!(second.success()["x"], json!(2));
    service.wait_for_event_with(
        "execution_lost",
        "signal 15, which was sent to the whole service, ended it",
    );
    assert_eq!(service.wait().code(), Some(0));
}

#[test]
fn a_reload_that_every_process_is_told_is_not_taken_for_the_author() {
    let service = Service::start("");
    let [first, second] = during_two_requests(&service, SIGHUP);
    let emsg = "Couldn't execute sandboxed code: See logs.";
    assert_eq!(first.json()["emsg"], json!(emsg), "{first:?}");
    assert_eq!(second.success()["x"], json!(2));
    assert_eq!(service.value_of_x("x = 3"), json!(3));
}

#[test]
fn code_that_ends_itself_by_a_signal_is_told_so() {
    let service = Service::start("");
    for signal in [SIGTERM, SIGHUP, SIGINT, SIGUSR1] {
        let number = signal as i32;
        // For INT Python has a handler of its own.
        let code = format!(
            "import os, signal; signal.signal({number}, signal.SIG_DFL); os.kill(os.getpid(), {number})"
        );
        let emsg = service.execute(&code).json()["emsg"].to_string();
        assert!(
            emsg.contains(&format!("with status code: -{number}")),
            "{emsg}"
        );
    }
}

#[test]
fn a_reload_that_every_process_is_told_while_the_service_starts_ends_nothing() {
    waits_until_it_is_up(SIGHUP, Whom::Both, "configuration_reloaded");
}
