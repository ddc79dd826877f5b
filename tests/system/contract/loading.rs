//! A job's own limits end it while code and globals are loaded: this end is the job's result, and
//! no other sandbox gets the job.

use codejail_harness::{Run, Service};

/// JSON of at least `bytes` bytes. Python takes far more memory and time to load it than the
/// service takes to scan it.
fn lists(bytes: usize) -> String {
    let mut json = "{\"a\":[[]".to_owned();
    while json.len() < bytes {
        json.push_str(",[]");
    }
    json + "]}"
}

#[test]
fn globals_too_large_for_the_memory_limit_are_a_memory_error_of_the_run() {
    let service = Service::start("[limits]\nVMEM = 8388608");
    let run = Run::new("x = 1").globals(lists(2 << 20));
    let emsg = service.run(&run).emsg();
    assert!(emsg.contains("MemoryError"), "{emsg}");
    assert!(emsg.ends_with("with status code: 1"), "{emsg}");
    assert_eq!(service.metric("codejail_sandbox_failures_total"), 0);
}

#[test]
fn globals_too_slow_to_load_end_as_a_run_that_is_too_slow() {
    let service = Service::start("[limit_overrides.short]\nREALTIME = 0.05");
    let run = Run::new("x = 1").globals(lists(10 << 20)).context("short");
    let emsg = service.run(&run).emsg();
    assert!(emsg.ends_with("with status code: -9"), "{emsg}");
    assert_eq!(service.metric("codejail_sandbox_failures_total"), 0);
}

#[test]
fn globals_that_take_more_cpu_time_than_there_is_end_as_a_run_that_does() {
    let service = Service::start(
        "body_bytes_max = 268435456\n[limits]\nREALTIME = 60\n[limit_overrides.quick]\nCPU = 1",
    );
    let run = Run::new("x = 1").globals(lists(40 << 20)).context("quick");
    let emsg = service.run(&run).emsg();
    assert!(emsg.ends_with("with status code: -24"), "{emsg}");
    assert_eq!(service.metric("codejail_sandbox_failures_total"), 0);
}
