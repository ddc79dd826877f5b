//! Thousands of executions of all kinds while workers are recycled, clients hang up, and processes
//! are killed and stopped. Each client that stays gets its one right answer, and afterwards the
//! service is what it was before. `CODEJAIL_SOAK_EXECUTIONS` says how many.

use crate::answers::SEE_LOGS;
use codejail_harness::Run;
use codejail_harness::http::Answer;
use codejail_harness::machine;
use codejail_harness::root::is_root;
use codejail_harness::wait::wait_for;
use codejail_harness::wire::Wire;
use codejail_harness::{Service, processes};
use nix::sys::signal::Signal::{SIGKILL, SIGSTOP};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// As many as `make test` has time for.
const EXECUTIONS: usize = 2000;
const CLIENTS: usize = 4;
/// The first executions only bring the service to its usual size.
const WARM_UP: usize = 300;
/// One of so many clients hangs up.
const HANG_UP_EVERY: usize = 25;
const FAULT_EVERY: Duration = Duration::from_millis(400);
const IDLE_MAX: Duration = Duration::from_secs(90);
/// What an allocator may keep. It is far less than a leak of one kilobyte for each execution of the
/// long run.
const GROWTH_MAX_KIB: u64 = 6 * 1024;

/// The message of a run that was killed ends with this.
const KILLED: &str = "with status code: -9";

/// These figures must be the same at the end. Memory, which is not among them, must be about the
/// same.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Figures {
    processes: usize,
    directories: usize,
    supervisor_descriptors: Option<usize>,
    spawner_descriptors: Option<usize>,
    worker_descriptors: Vec<Option<usize>>,
}

#[derive(Debug, Default)]
struct Counts {
    right: AtomicUsize,
    hung_up: AtomicUsize,
    hit: AtomicUsize,
    faults: AtomicUsize,
    workers_killed: AtomicUsize,
}

#[test]
fn thousands_of_executions_with_faults_get_one_right_answer_each_and_leave_nothing() {
    let _alone = machine::alone();
    let given = std::env::var("CODEJAIL_SOAK_EXECUTIONS").ok();
    let executions = given.map_or(EXECUTIONS, |count| count.parse().expect("a number"));
    let service = Service::start(
        "workers = 2\nmax_requests = 200\nmax_requests_jitter = 50\n[limits]\nREALTIME = 3",
    );
    let counts = Counts::default();
    load(&service, &counts, 0..WARM_UP, false);
    let (before, before_kib) = idle(&service, None);

    let started = Instant::now();
    load(&service, &counts, WARM_UP..executions, is_root());
    let elapsed = started.elapsed();
    let (after, after_kib) = idle(&service, Some(&before));

    println!(
        "{executions} executions in {elapsed:?}: {counts:?}\nbefore: {before:?}\nafter:  {after:?}\n\
         RSS in KiB (supervisor, spawner): before {before_kib:?}, after {after_kib:?}"
    );
    let answered = counts.right.load(Ordering::Relaxed) + counts.hit.load(Ordering::Relaxed);
    assert_eq!(
        answered + counts.hung_up.load(Ordering::Relaxed),
        executions
    );
    // When a worker is killed, at most its one run is lost.
    assert!(counts.hit.load(Ordering::Relaxed) <= counts.faults.load(Ordering::Relaxed));
    for (before, after) in [(before_kib.0, after_kib.0), (before_kib.1, after_kib.1)] {
        assert!(
            after <= before + GROWTH_MAX_KIB,
            "{before} KiB, then {after} KiB"
        );
    }
}

/// Executes all of these over some clients, with or without faults.
fn load(service: &Service, counts: &Counts, ids: std::ops::Range<usize>, faults: bool) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients = (0..CLIENTS).map(|client| {
            let ids = ids.clone().skip(client).step_by(CLIENTS);
            scope.spawn(move || ids.for_each(|id| execute(service, counts, id, faults)))
        });
        let clients: Vec<_> = clients.collect();
        if faults {
            scope.spawn(|| inject_faults(service, counts, &done));
        }
        let ended: Vec<_> = clients
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect();
        done.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok), "a client failed");
    });
}

fn execute(service: &Service, counts: &Counts, id: usize, faults: bool) {
    let globals = json!({ "id": id });
    if id % HANG_UP_EVERY == 13 {
        // The client hangs up before, while or after its code runs.
        let mut client = Wire::open(service.address);
        let run = Run::new("import time; time.sleep(0.02); x = 1").globals(globals.to_string());
        client.post_payload(&run.payload());
        thread::sleep(Duration::from_millis(id as u64 % 40));
        client.hang_up();
        counts.hung_up.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let (run, expected) = execution(id);
    let answer = service.run(&run.globals(globals.to_string()));
    // The answer never belongs to another request, whatever happened.
    assert_eq!(answer.globals()["id"], json!(id), "{answer:?}");
    let right = match &expected {
        Ok(globals) => is_success(&answer, globals),
        Err(part) => answer.json()["emsg"]
            .as_str()
            .is_some_and(|emsg| emsg.contains(part)),
    };
    if right {
        counts.right.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let emsg = answer.json()["emsg"].as_str().map(str::to_owned);
    // The message shows what the run had written before it was killed.
    let hit = emsg.is_some_and(|emsg| emsg == SEE_LOGS || emsg.ends_with(KILLED));
    assert!(hit && faults, "{id}: expected {expected:?}: {answer:?}");
    assert_eq!(answer.globals(), globals);
    counts.hit.fetch_add(1, Ordering::Relaxed);
}

fn is_success(answer: &Answer, globals: &Value) -> bool {
    let body = answer.json();
    body.get("emsg").is_none() && body["globals_dict"] == *globals
}

/// What to run under this number, and what must come of it: globals, or a part of the message.
fn execution(id: usize) -> (Run, Result<Value, String>) {
    let ended = |status: usize| format!("stdout: b'', stderr: b'' with status code: {status}");
    match id % 12 {
        1 | 7 => (
            Run::new("raise ValueError(f'number {id}.')"),
            Err(format!("ValueError: number {id}.\\n")),
        ),
        3 => (
            Run::new("import os; os._exit(id % 200 + 1)"),
            Err(ended(id % 200 + 1)),
        ),
        5 => (
            Run::new("import sys; sys.__stdout__.write('hello'); x = 1"),
            Err("Sandboxed code produced corrupted stdout.".to_owned()),
        ),
        9 => (
            Run::new("x = str(id) * 100000"),
            Ok(json!({ "id": id, "x": id.to_string().repeat(100_000) })),
        ),
        11 if id.is_multiple_of(10) || id % 84 == 11 => (
            Run::new("while True: pass").context("short"),
            Err("status code: -9".to_owned()),
        ),
        _ => (
            Run::new("import os; os.mkdir(f'tmp/{id}'); x = 7 * id; y = os.listdir('tmp')"),
            Ok(json!({ "id": id, "x": 7 * id, "y": [id.to_string()] })),
        ),
    }
}

/// Kills and stops processes of the service, in turn.
fn inject_faults(service: &Service, counts: &Counts, done: &AtomicBool) {
    for turn in 0.. {
        thread::sleep(FAULT_EVERY);
        if done.load(Ordering::Relaxed) {
            return;
        }
        let workers = service.workers();
        let Some(worker) = workers.get(turn % workers.len().max(1)) else {
            continue;
        };
        let sandboxes = processes::children(worker.pid);
        let sandbox = sandboxes.get(turn % sandboxes.len().max(1));
        let target = match turn % 10 {
            9 => Some((worker, SIGKILL)),
            8 => sandbox.map(|sandbox| (sandbox, SIGSTOP)),
            _ => sandbox.map(|sandbox| (sandbox, SIGKILL)),
        };
        if let Some((process, signal)) = target
            && send(process.pid, signal)
        {
            counts.faults.fetch_add(1, Ordering::Relaxed);
            let killed = usize::from(process == worker);
            counts.workers_killed.fetch_add(killed, Ordering::Relaxed);
        }
    }
}

/// Whether the process was still there.
fn send(pid: i32, signal: Signal) -> bool {
    kill(Pid::from_raw(pid), signal).is_ok()
}

/// The figures when nothing is on its way; they must be the same as `expected`, if that is given.
/// Also the resident memory of supervisor and spawner.
fn idle(service: &Service, expected: Option<&Figures>) -> (Figures, (u64, u64)) {
    let mut seen = None;
    let look = || {
        seen = figures(service);
        let found = seen.clone()?;
        expected
            .is_none_or(|expected| *expected == found)
            .then_some(found)
    };
    let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_for("an idle state", IDLE_MAX, look)
    }));
    let Ok(found) = waited else {
        panic!(
            "expected {expected:?}, seen {seen:?}: {:#?}",
            service.processes()
        );
    };
    (
        found,
        (
            resident_kib(service.pid()),
            resident_kib(service.spawner().pid),
        ),
    )
}

/// `None` while something is on its way: there must be two workers with two sandboxes each, and
/// their directories.
fn figures(service: &Service) -> Option<Figures> {
    let figures = Figures {
        processes: service.processes().len(),
        directories: service.scratch_directories().len(),
        supervisor_descriptors: service.processes().first()?.descriptors(),
        spawner_descriptors: service.spawner().descriptors(),
        worker_descriptors: service
            .workers()
            .iter()
            .map(processes::Process::descriptors)
            .collect(),
    };
    (figures.processes == 2 + 2 + 4 && figures.directories == 2 + 4 + 1).then_some(figures)
}

fn resident_kib(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .expect("VmRSS")
}
