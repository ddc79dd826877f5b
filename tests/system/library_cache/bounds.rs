//! What the cache holds and for how long, and which libraries can't be compiled.

use super::same_answers::FILES;
use super::{OFF, compiles, known, metric, value_of_x, warm};
use codejail_harness::python::library;
use codejail_harness::python::zip;
use codejail_harness::wait::wait_for;
use codejail_harness::wait::{START_MAX, wait_until};
use codejail_harness::{Run, Service};
use nix::sys::signal::Signal;
use serde_json::json;

#[test]
fn libraries_that_can_not_be_compiled_are_tried_once_and_harm_nobody() {
    let service = Service::start("");
    let nested = format!("x = {}1\n", "-".repeat(200_000));
    // 60 MB of zeros; 4,000 modules; a source whose tree is too large for the compiler's memory.
    let zeros = vec![0; 60 << 20];
    let many: Vec<String> = (0..4000).map(|n| format!("m{n}.py")).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|n| (&**n, b"x = 1\n".as_slice())).collect();
    let large = format!("x = [{}]\n", "[], ".repeat(1 << 20));
    let libraries = [
        b"this is no archive".to_vec(),
        zip(FILES)[..300].to_vec(),
        Vec::new(),
        zip(&[("lib.py", b"x = 1\n"), ("bomb.py", &zeros)]),
        zip(&[("lib.py", b"x = 1\n"), ("nested.py", nested.as_bytes())]),
        zip(&many),
        zip(&[("lib.py", b"x = 1\n"), ("large.py", large.as_bytes())]),
    ];
    for library in &libraries {
        warm(&service, library);
        let known = known(&service);
        for _ in 0..2 {
            value_of_x(&service, "x = 1", library);
        }
        assert_eq!(self::known(&service), known);
    }
    assert_eq!(metric(&service, "failed_total"), 3);
    assert!(!compiles(&service, &libraries[3]));
    assert!(!compiles(&service, &libraries[4]));
    assert_eq!(service.get("/health/").status, 200);
    assert_eq!(service.workers().len(), 1);
}

#[test]
fn hundreds_of_libraries_stay_within_the_bound() {
    let service = Service::start("[library_cache]\nbytes_max = 5000");
    for n in 0..200 {
        let library = library("lib", &format!("def f():\n    return {n}\n"));
        for _ in 0..2 {
            let x = value_of_x(&service, "import lib; x = lib.f()", &library);
            assert_eq!(x, json!(n));
        }
        assert!(metric(&service, "bytes") <= 5000);
    }
    wait_until("an eviction", START_MAX, || {
        metric(&service, "evicted_total") > 0
    });
    assert_eq!(service.get("/health/").status, 200);
}

#[test]
fn the_library_that_was_not_asked_for_in_the_longest_time_goes_first() {
    let libraries = [1, 2, 3].map(|n| library("lib", &format!("x = {n}\n")));
    let one = Service::start("");
    warm(&one, &libraries[0]);
    let bytes_max = metric(&one, "bytes") * 5 / 2;
    let service = Service::start(&format!("[library_cache]\nbytes_max = {bytes_max}"));
    warm(&service, &libraries[0]);
    warm(&service, &libraries[1]);
    assert!(!compiles(&service, &libraries[0]));
    warm(&service, &libraries[2]);
    assert_eq!(metric(&service, "evicted_total"), 1);
    assert!(!compiles(&service, &libraries[0]));
    assert!(!compiles(&service, &libraries[2]));
    assert!(compiles(&service, &libraries[1]));
}

#[test]
fn a_reload_forgets_all_libraries() {
    let service = Service::start("");
    let library = library("lib", "x = 1\n");
    warm(&service, &library);
    let workers = service.workers();
    service.tell(Signal::SIGHUP);
    wait_for("other workers", START_MAX, || {
        let now = service.workers();
        (now.len() == 1 && now != workers).then_some(())
    });
    assert_eq!(metric(&service, "bytes"), 0);
    warm(&service, &library);
    assert!(!compiles(&service, &library));
    service.reconfigure(OFF);
    service.tell(Signal::SIGHUP);
    wait_until("a cache that is off", START_MAX, || {
        compiles(&service, &library)
    });
    assert_eq!(metric(&service, "bytes"), 0);
}

#[test]
fn a_compilation_does_not_wear_its_worker() {
    let service = Service::start("max_requests = 3\nmax_requests_jitter = 0");
    let workers = service.workers();
    let run = Run::new("x = 1").library(library("lib", "x = 1\n"));
    for _ in 0..2 {
        service.run(&run).success();
    }
    wait_until("the compilation", START_MAX, || known(&service) == 1);
    assert_eq!(service.workers(), workers);
    service.execute("x = 1").success();
    wait_for("the next worker alone", START_MAX, || {
        let now = service.workers();
        (now.len() == 1 && now != workers).then_some(())
    });
}

/// A library that takes the compiler some seconds.
fn large_library() -> Vec<u8> {
    let function = "def f(a, b=1):\n    return [a + b for a in range(b) if a in (1, 2)]\n";
    library("lib", &function.repeat((3 << 20) / function.len()))
}

#[test]
fn a_service_that_compiles_answers_others_meanwhile_and_ends_when_it_is_told_to() {
    let mut service = Service::start("");
    let run = Run::new("x = 1").library(large_library());
    for _ in 0..2 {
        service.run(&run).success();
    }
    for n in 0..20 {
        assert_eq!(service.value_of_x(&format!("x = {n}")), json!(n));
    }
    assert_eq!(known(&service), 0, "it still compiles");
    service.signal(Signal::SIGTERM);
    assert_eq!(service.wait().code(), Some(0));
}
