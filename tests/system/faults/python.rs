//! A Python or a library that is broken: each ends as docs/faults.md says.

use crate::answers::NOT_CONFIGURED;
use codejail_harness::Setup;
use codejail_harness::own_python::OwnPython;
use codejail_harness::python::sandbox_python;
use codejail_harness::root::is_root;
use codejail_harness::wait::START_MAX;
use codejail_harness::wait::wait_until;
use codejail_harness::{Service, inject};
use nix::sys::signal::Signal;
use serde_json::json;
use std::fs;
use std::time::{Duration, Instant};

#[test]
fn a_python_that_is_none_stops_the_start_with_its_words() {
    let script = OwnPython::shell;
    for (python, said) in [
        (script("echo out of order >&2; exit 1"), "out of order"),
        (
            script("exit 0"),
            "/python\": it ended before it was warm, with exit status 0",
        ),
        (
            script("exit 3"),
            "/python\": it ended before it was warm, with exit status 3",
        ),
        (
            script("echo garbage >&3; exec sleep 60"),
            "broke the protocol",
        ),
        (
            script("head -c 100000 /dev/zero >&2; exit 1"),
            "the first worker can't be started",
        ),
        (OwnPython::script("no program at all"), "python"),
    ] {
        let (status, log) = Service::fail_to_start(&python.overrides(&[]));
        assert!(matches!(status, Some(69 | 78)), "{said}: {status:?}\n{log}");
        assert!(log.contains(said), "{said}:\n{log}");
    }
}

#[test]
fn a_python_that_breaks_later_costs_no_run_until_a_worker_is_needed() {
    // The file of Python stays the same. Another file in its place would be an upgrade, after which
    // no old worker serves.
    let python = OwnPython::script(&format!(
        "#!/bin/sh\n[ ! -e $0.broken ] || exit 1\nexec {} \"$@\"\n",
        sandbox_python().display()
    ));
    let broken = python.bin.with_extension("broken");
    let recycling = "max_requests = 4\nmax_requests_jitter = 0\nqueue_wait_max_ms = 500\n";
    let service = Service::start(&format!("{recycling}{}", python.overrides(&[])));
    fs::write(&broken, "").expect("write");
    // The last worker goes on serving after its last request, since its successor can't be started.
    wait_until("a successor that can't be started", START_MAX, || {
        service.assert_works();
        !service.events("worker_launch_failed").is_empty()
    });
    for n in 0..10 {
        assert_eq!(service.value_of_x(&format!("x = {n}")), json!(n));
    }
    if is_root() {
        let worker = service.workers().into_iter().next().expect("a worker");
        inject::signal(&worker, Signal::SIGKILL);
        service.wait_for_event("worker_lost");
        let refused = service.execute("x = 1");
        assert_eq!(refused.status, 503, "{refused:?}");
        assert_eq!(service.get("/readyz").status, 503);
    }
    fs::remove_file(&broken).expect("remove");
    service.wait_until_it_works();
}

#[test]
fn a_preload_that_raises_is_named_and_left_out() {
    let python = OwnPython::venv(&[
        ("raises", "raise ValueError('not today')"),
        ("exits", "raise SystemExit(3)"),
        (
            "prints",
            "import sys\nfor _ in range(5000): print('x' * 100, file=sys.stderr)",
        ),
    ]);
    let preload = ["raises", "exits", "not_there", "prints"];
    let service = Service::start(&python.overrides(&preload));
    service.assert_works();
    let log = service.log();
    for part in [
        "raises",
        "not today",
        "exits",
        "not_there",
        "No module named",
    ] {
        assert!(log.contains(part), "{part}:\n{log}");
    }
}

#[test]
fn preloads_with_long_errors_are_named_in_brief_and_left_out() {
    let page = "raise ImportError('the reason ' + 'x' * 70_000)";
    let half = "raise ValueError('half a pair \\ud800')";
    let names: Vec<String> = (0..30).map(|number| format!("fails_{number}")).collect();
    let mut modules: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), page)).collect();
    modules.extend([("one", page), ("two", half)]);
    let python = OwnPython::venv(&modules);
    let mut preload = vec!["one", "two"];
    preload.extend(names.iter().map(String::as_str));
    let service = Service::start(&python.overrides(&preload));
    service.assert_works();
    let log = service.log();
    assert!(log.contains("the reason xxx"), "{log}");
    assert!(log.contains("half a pair"), "{log}");
    let longest = log.lines().map(str::len).max().unwrap_or_default();
    assert!(longest < 1000, "a line of {longest} bytes");
}

#[test]
fn a_start_that_fails_with_a_long_error_is_told_in_brief() {
    let threads = "import threading, time\n\
                   for _ in range(9): threading.Thread(target=time.sleep, args=(60,), daemon=True, \
                   name='long ' * 20_000).start()";
    let python = OwnPython::venv(&[("threaded", threads)]);
    let (status, said) = Service::fail_to_start(&python.overrides(&["threaded"]));
    assert_eq!(status, Some(69), "{}", said.len());
    assert!(
        said.contains("10 threads run in this worker"),
        "{}",
        said.len()
    );
    assert!(said.len() < 20_000, "{}", said.len());
}

/// The text waits in buffers of Python and of C, and every sandbox is forked with them.
#[test]
fn what_a_preload_prints_is_in_no_answer() {
    let talks = "import ctypes, sys\nsys.stdout.write('half a line')\n\
                 ctypes.CDLL(None).printf(b'half a line of C')";
    let python = OwnPython::venv(&[("talks", talks)]);
    let service = Service::start(&python.overrides(&["talks"]));
    service.assert_works();
    let emsg = service.execute("import talks; 1 / 0").emsg();
    assert!(!emsg.contains("half a line"), "{emsg}");
}

#[test]
fn a_preload_that_starts_threads_stops_the_start_by_name() {
    let thread = "import threading, time\n\
                  threading.Thread(target=time.sleep, args=(60,), daemon=True).start()";
    let python = OwnPython::venv(&[("threaded", thread)]);
    let (status, said) = Service::fail_to_start(&python.overrides(&["threaded"]));
    assert_eq!(status, Some(69), "{said}");
    assert!(said.contains("2 threads run in this worker"), "{said}");
}

#[test]
fn while_a_preload_hangs_the_service_is_alive_and_executes_nothing() {
    let python = OwnPython::venv(&[("hangs", "import time; time.sleep(1000)")]);
    let mut service = Service::launch(&Setup {
        overrides: &python.overrides(&["hangs"]),
        ..Setup::default()
    });
    let answer = service.execute("x = 1");
    assert_eq!(answer.status, 500, "{answer:?}");
    let expected = json!({"error": NOT_CONFIGURED});
    assert_eq!(answer.json(), expected);
    assert_eq!(service.get("/health/").status, 503);
    assert_eq!(service.get("/readyz").status, 503);
    service.assert_lives();
    let asked = Instant::now();
    service.signal(Signal::SIGTERM);
    assert_eq!(service.wait().code(), Some(0), "{}", service.log());
    assert!(asked.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_preload_that_hangs_is_given_up_after_warm_up_timeout_ms() {
    let python = OwnPython::venv(&[("hangs", "import time; time.sleep(1000)")]);
    let overrides = python.overrides(&["hangs"]);
    let overrides = format!("warm_up_timeout_ms = 2500\n{overrides}");
    let (status, said) = Service::fail_to_start(&overrides);
    assert_eq!(status, Some(69), "{said}");
    assert!(said.contains("it was not warm after 2.5s"), "{said}");
    assert!(said.contains("raise warm_up_timeout_ms"), "{said}");
}
