//! What the compilation of course libraries may cost clients that send no such library.

use codejail_harness::python::library;
use codejail_harness::wait::{START_MAX, wait_for};
use codejail_harness::{Run, Service, inject};
use nix::sys::signal::Signal::SIGKILL;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

fn metric(service: &Service, name: &str) -> u64 {
    service.metric(&format!("codejail_library_cache_{name}_total"))
}

fn send(service: &Service, library: &[u8], times: usize) {
    for _ in 0..times {
        let run = Run::new("x = 1").library(library.to_vec());
        service.run(&run).success();
    }
}

/// A library that is the same for Python, but has other bytes.
fn variant(library: &[u8], number: usize) -> Vec<u8> {
    [library, format!("{number:08}").as_bytes()].concat()
}

/// A library that takes the compiler half a second.
fn costly_library() -> Vec<u8> {
    let function = "def f(a, b=1):\n    return [a + b for a in range(b) if a in (1, 2)]\n";
    library("lib", &function.repeat((1 << 18) / function.len()))
}

/// The median of some executions without a library, in microseconds.
fn median(service: &Service) -> u128 {
    let mut times: Vec<u128> = (0..60)
        .map(|n| {
            let started = Instant::now();
            service.execute(&format!("x = {n}")).success();
            started.elapsed().as_micros()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_library_that_comes_once_is_not_compiled() {
    let service = Service::start("");
    let own = library("lib", "x = 1\n");
    for number in 0..20 {
        send(&service, &variant(&own, number), 1);
    }
    // Libraries are compiled one after the other, so all that were ordered before this one are
    // compiled before it.
    send(&service, &own, 2);
    wait_for("a compilation", START_MAX, || {
        service.log().contains("library compiled").then_some(())
    });
    assert_eq!(metric(&service, "compiled"), 1);
}

#[test]
fn who_changes_a_byte_in_a_library_each_time_slows_nobody_down() {
    let service = Service::start("workers = 2");
    let costly = costly_library();
    let stop = AtomicBool::new(false);
    let quiet = median(&service);
    let attacked = thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                send(&service, &variant(&costly, number), 2);
                thread::sleep(Duration::from_millis(100));
            }
        });
        // Stops the client, also after a panic.
        let _stop = StopAtEnd(&stop);
        let enough = || (metric(&service, "compiled") >= 1).then_some(());
        wait_for("a compilation", START_MAX, enough);
        let attacked = median(&service);
        wait_for(
            "a compilation for which there is no time",
            START_MAX,
            || (metric(&service, "postponed") > 0).then_some(()),
        );
        attacked
    });
    println!("median: {quiet} µs alone, {attacked} µs beside the other client");
    assert!(attacked < 3 * quiet, "{quiet} µs alone, {attacked} µs");
}

#[test]
fn a_compilation_takes_no_spare_from_clients() {
    let service = Service::start("");
    service.wait_for_processes(2 + 1 + 2);
    send(&service, &costly_library(), 2);
    // Supervisor, spawner and worker; a sandbox that is ready, its spare, and the sandbox that
    // compiles.
    service.wait_for_processes(2 + 1 + 3);
    assert_eq!(metric(&service, "compiled"), 0, "it still compiles");
}

#[test]
fn a_compilation_whose_worker_is_lost_is_tried_again() {
    let service = Service::start("");
    let costly = costly_library();
    send(&service, &costly, 2);
    service.wait_for_processes(2 + 1 + 3);
    inject::signal(&service.workers()[0], SIGKILL);
    wait_for("a failure", START_MAX, || {
        (metric(&service, "failed") == 1).then_some(())
    });
    wait_for("a compilation", START_MAX, || {
        send(&service, &costly, 1);
        (metric(&service, "compiled") == 1).then_some(())
    });
    let before = metric(&service, "hits");
    send(&service, &costly, 1);
    assert_eq!(metric(&service, "hits"), before + 1);
}
