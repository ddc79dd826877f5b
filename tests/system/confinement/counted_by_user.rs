//! The kernel counts processes, and signals that wait, by user. Where the service is not root, all
//! sandboxes have the same user. docs/weaknesses.md has the table.

use super::kernel::{both, without};
use codejail_harness::Service;
use codejail_harness::wait::{START_MAX, wait_for};
use serde_json::{Value, json};
use std::thread;

/// A run can send itself signals and not take them. The kernel counts them by user, together with
/// the timers of all sandboxes of that user.
#[test]
fn a_run_that_keeps_signals_waiting_leaves_others_their_clocks() {
    let keep = r"
import os, signal, time
waiting = [signal.SIGRTMIN]
signal.pthread_sigmask(signal.SIG_BLOCK, waiting)
for _ in range(120000): os.kill(os.getpid(), signal.SIGRTMIN)
time.sleep(1.5)
x = 0
while signal.sigtimedwait(waiting, 0): x += 1
";
    let beside = |service: &Service| {
        thread::scope(|scope| {
            let keeping = scope.spawn(|| service.execute(keep));
            while !keeping.is_finished() {
                assert_eq!(service.value_of_x("x = 1"), json!(1));
            }
            keeping.join().expect("a thread").success()["x"].clone()
        })
    };
    for service in both("workers = 2") {
        let kept = beside(&service).as_u64().expect("a number");
        assert!((1..=1025).contains(&kept), "{kept}");
    }
    // Without the limit a run keeps as many signals as the host allows a user.
    let open = without(
        true,
        "workers = 1\n[layers]\nseccomp = 'off'\nrlimits = 'off'",
    );
    let kept = open.value_of_x(&keep.replace("1.5", "0"));
    assert!(kept.as_u64() > Some(1025), "{kept}");
}

/// Starts as many threads as it may. Says how many they are, and a number that is the same for all
/// runs of a worker.
const THREADS: &str = r"
import ctypes, threading, time
done = threading.Event()
n = 0
try:
    for n in range(60): threading.Thread(target=done.wait, daemon=True).start()
except RuntimeError: pass
time.sleep(hold)
done.set()
# Where the C library lies, which a worker and its sandboxes have in common.
x = [n, ctypes.cast(ctypes.CDLL(None).gnu_get_libc_version, ctypes.c_void_p).value]
";

/// Where the service is not root, all its sandboxes are one user. The kernel counts processes and
/// signals by user and user namespace, and each sandbox has a user namespace of its own.
#[test]
fn a_run_of_one_user_with_all_others_has_its_number_of_threads_beside_others() {
    let threads = |hold: f64| format!("hold = {hold}{THREADS}");
    // How many threads one run had. Then how many threads each other run had meanwhile, in
    // ascending order: first the runs of the same worker, then the runs of another worker.
    let beside = |service: &Service| {
        let (held, others): (Value, Vec<Value>) = thread::scope(|scope| {
            let holding = scope.spawn(|| service.value_of_x(&threads(2.0)));
            let mut others = Vec::new();
            while !holding.is_finished() {
                let answer = service.execute(&threads(0.0));
                others.push(answer.success()["x"].take());
            }
            (holding.join().expect("a thread"), others)
        });
        let [same, another] = [true, false].map(|same| {
            let others = others.iter().filter(|other| (other[1] == held[1]) == same);
            let mut threads: Vec<_> = others.filter_map(|other| other[0].as_u64()).collect();
            threads.sort_unstable();
            threads
        });
        (held[0].as_u64(), same, another)
    };
    let limits = "workers = 2\n[limits]\nNPROC = 15\n";
    let service = Service::start_unprivileged(limits);
    let (held, same, another) = wait_for("runs of both workers beside a run", START_MAX, || {
        let seen = beside(&service);
        (!seen.1.is_empty() && !seen.2.is_empty()).then_some(seen)
    });
    assert_eq!(held, Some(14));
    for threads in [same, another] {
        assert!(threads.iter().all(|count| *count == 14), "{threads:?}");
    }
    // Without user namespaces all runs are counted together.
    let off = format!("{limits}[layers]\nnamespaces = 'off'\nmounts = 'off'");
    let (held, same, another) = beside(&Service::start_unprivileged(&off));
    let threads = [same, another].concat();
    let fewest = threads.iter().min();
    assert!(
        held < Some(10) || fewest < Some(&10),
        "{held:?}, {threads:?}"
    );
}
