//! Faults of the host: no space, no processes, no descriptors, a clock that jumps. Each ends as
//! docs/faults.md says.

use crate::answers::SEE_LOGS;
use codejail_harness::Run;
use codejail_harness::Setup;
use codejail_harness::dir::TestDir;
use codejail_harness::http::Answer;
use codejail_harness::python::library;
use codejail_harness::small_disk::SmallDisk;
use codejail_harness::wait::END_MAX;
use codejail_harness::wait::{START_MAX, wait_for};
use codejail_harness::wire::Wire;
use codejail_harness::{Service, inject, needs_root};
use serde_json::json;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn a_full_scratch_file_system_fails_what_needs_it_and_recovers() {
    needs_root!();
    let scratch = SmallDisk::mount("size=2m,nr_inodes=200");
    let overrides = format!(
        "queue_wait_max_ms = 500\n[sandbox]\nscratch_dir = {:?}\n[limits]\nFSIZE = 10000000\n\
         [layers]\nmounts = 'off'",
        scratch.path()
    );
    let service = Service::start(&overrides);
    // A run that fills its scratch space gets the error that any program would get, and disturbs no
    // other run.
    let fill = Run::new("with open('tmp/a', 'wb') as f: f.write(b'x' * 4000000)");
    let emsg = service.run(&fill).emsg();
    assert!(
        emsg.contains("OSError: [Errno 28] No space left on device"),
        "{emsg}"
    );
    service.wait_until_it_works();
    // Others fill the scratch space. A sandbox that was prepared before executes code, but can't
    // take a file. After that no sandbox can be prepared.
    scratch.wait_for_quiet();
    let filler = wait_for("a lack of space", END_MAX, || {
        // Filled again and again, since each run that ends frees some space.
        let filler = scratch.fill();
        let answer = service.run(&Run::new("x = 1").library(library("m", "y = 1")));
        if answer.status != 503 {
            let emsg = answer.json().get("emsg").cloned();
            assert!(emsg.is_none_or(|emsg| emsg == SEE_LOGS), "{answer:?}");
        }
        let log = service.log();
        log.contains("No space left on device").then_some(filler)
    });
    service.assert_lives();
    fs::remove_file(filler).expect("remove");
    service.wait_until_it_works();
}

#[test]
fn without_space_at_the_start_the_service_says_so_and_ends() {
    needs_root!();
    let scratch = SmallDisk::mount("size=64k,nr_inodes=3");
    scratch.fill();
    let overrides = format!(
        "[sandbox]\nscratch_dir = {:?}\n[layers]\nmounts = 'off'",
        scratch.path()
    );
    let (status, said) = Service::fail_to_start(&overrides);
    assert!(status.is_some_and(|status| status != 0), "{status:?}");
    assert!(said.contains("No space left on device"), "{said}");
}

#[test]
fn a_worker_that_may_not_fork_is_replaced() {
    needs_root!();
    let service = Service::start("");
    let worker = service.workers().remove(0);
    inject::limit(worker.pid, "--nproc", "1");
    // The sandboxes that are ready run. The next spare sandboxes can't be forked.
    for n in 0..4 {
        assert_eq!(service.value_of_x(&format!("x = {n}")), json!(n));
    }
    let fork = "error=\"fork for codejail-";
    let failed = service.wait_for_event_with("sandbox_prepare_failed", fork);
    assert!(failed.contains("EAGAIN"), "{failed}");
    assert!(!worker.lives());
}

#[test]
fn out_of_descriptors_the_service_recovers() {
    needs_root!();
    let service = Service::start("queue_wait_max_ms = 500");
    service.assert_works();
    let supervisor = codejail_harness::processes::family(service.pid()).remove(0);
    let open = supervisor.descriptors().expect("its descriptors");
    inject::limit(service.pid(), "--nofile", &format!("{}:4096", open + 4));
    // Silent connections, as of slow clients, take the descriptors that are left.
    let silent: Vec<Wire> = (0..10).map(|_| Wire::open(service.address)).collect();
    thread::scope(|scope| {
        // This client is accepted when there are descriptors again, and then gets its answer.
        let late = scope.spawn(|| service.execute("x = 1"));
        service.wait_for_event_with("accept_failed", "Too many open files");
        silent.into_iter().for_each(Wire::hang_up);
        let answer = late.join().unwrap();
        let known = match answer.status {
            503 => true,
            _ => answer
                .json()
                .get("emsg")
                .is_none_or(|emsg| emsg == SEE_LOGS),
        };
        assert!(known, "{answer:?}");
    });
    service.assert_lives();
    inject::limit(service.pid(), "--nofile", "1024:4096");
    service.wait_until_it_works();
    service.assert_works();
}

/// A run goes on for a second. Meanwhile a limit keeps its worker from preparing another sandbox.
fn run_beside_a_limit(limit: impl FnOnce(&Service)) -> Answer {
    let service = Service::start("sandboxes_per_worker = 2");
    // The connection is accepted before the limit holds.
    let mut connection = service.connect();
    Run::new("x = 1").ask_over(&mut connection).success();
    thread::scope(|scope| {
        let code = "import os, time; os.mkdir('tmp/running'); time.sleep(1); x = 1";
        let long = scope.spawn(|| service.execute(code));
        service.wait_for_mark("running");
        limit(&service);
        Run::new("x = 2").ask_over(&mut connection).success();
        thread::sleep(Duration::from_millis(500));
        inject::limit(service.pid(), "--nofile", "1024:4096");
        long.join().unwrap()
    })
}

#[test]
fn a_worker_that_may_not_fork_finishes_what_it_runs() {
    let answer = run_beside_a_limit(|service| {
        inject::limit(service.workers()[0].pid, "--nproc", "1");
    });
    assert_eq!(answer.success(), json!({"x": 1}));
}

#[test]
fn out_of_descriptors_the_service_finishes_what_it_runs() {
    let answer = run_beside_a_limit(|service| {
        inject::limit(service.pid(), "--nofile", "3:4096");
    });
    assert_eq!(answer.success(), json!({"x": 1}));
}

/// A clock for LD_PRELOAD that jumps by a year and back, each time when the program asks for the
/// time of day.
const CLOCK: &str = r"
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long jump(void) { static long n; return n++ % 2 ? 31536000 : -31536000; }
int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += jump();
    return result;
}
int gettimeofday(struct timeval *now, void *zone) {
    int result = syscall(SYS_gettimeofday, now, zone);
    now->tv_sec += jump();
    return result;
}
time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return out ? (*out = now.tv_sec) : now.tv_sec;
}
";

#[test]
fn a_clock_that_jumps_changes_no_deadline_and_no_answer() {
    let dir = TestDir::new("clock");
    let clock = inject::build_library(&dir, CLOCK);
    let service = Service::launch(&Setup {
        overrides: "queue_wait_max_ms = 3000",
        env: &[("LD_PRELOAD", clock.to_str().expect("a path"))],
        ..Setup::default()
    });
    service.wait_until_healthy();
    for n in 0..20 {
        assert_eq!(service.value_of_x(&format!("x = {n}")), json!(n));
    }
    let asked = Instant::now();
    let emsg = service
        .run(&Run::new("while True: pass").context("short"))
        .emsg();
    assert!(emsg.ends_with("status code: -9"), "{emsg}");
    assert!(asked.elapsed() >= Duration::from_millis(300));
    assert!(asked.elapsed() < Duration::from_secs(5));
    // This shows that the clock did jump: the log's dates are a year apart.
    let log = service.log();
    let mut years: Vec<&str> = log.lines().filter_map(|line| line.get(..4)).collect();
    years.sort_unstable();
    years.dedup();
    assert!(years.len() >= 2, "{years:?}");
}

#[test]
fn a_worker_that_has_lost_every_directory_is_replaced() {
    let overrides = "queue_wait_max_ms = 500\n[layers]\nmounts = 'off'";
    let service = Service::start(overrides);
    // The directory into which other directories are moved before they are removed.
    let entries = fs::read_dir(service.scratch_root()).expect("scratch root");
    let mut paths = entries.map(|entry| entry.expect("an entry").path());
    let trash = paths.find(|path| path.join(".service").exists());
    let trash = trash.expect("the spawner's directory");
    fs::remove_dir_all(&trash).expect("remove");
    fs::write(&trash, "").expect("write");
    wait_for("the loss of a worker", START_MAX, || {
        let answer = service.execute("x = 1");
        assert!(matches!(answer.status, 200 | 503), "{answer:?}");
        let log = service.log();
        log.contains("what its sandboxes left can't be removed")
            .then_some(())
    });
    fs::remove_file(&trash).expect("remove");
    fs::create_dir(&trash).expect("make");
    service.wait_until_it_works();
}
