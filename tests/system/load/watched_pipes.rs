//! A run makes each read of its standard output expensive: whenever a pipe is read the kernel calls
//! all who watch it, in the reader's time. No other client waits for that.

use codejail_harness::{Run, Service, machine};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Makes as many watches on its standard output as its descriptors allow, for half a second at
/// most, and then writes all it can.
const WATCHED: &str = "import os, resource, select, time
end = time.monotonic() + 2.8
side = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - 32
watchers = [select.epoll() for _ in range(side)]
outputs = [os.dup(1) for _ in range(side)]
for watcher in watchers:
    for output in outputs: watcher.register(output, select.EPOLLOUT | select.EPOLLET)
block = b'x' * 65536
while time.monotonic() < end: os.write(1, block)";

/// A run that is as busy as a run may be.
const BUSY: &str = "import time
end = time.monotonic() + 2.8
while time.monotonic() < end: pass";

/// The pause between two questions of one asker.
const PAUSE: Duration = Duration::from_millis(50);
/// 99 of 100 answers may take so many times as long.
const MORE_MAX: f64 = 1.5;
/// A time below this is no delay: other processes on the machine take turns of the processor, and
/// the longest of some 40 small runs may meet some of the reads. Each read keeps a processor for 20
/// ms, whichever thread does it. When HTTP waited for the reads it was 500 ms and more.
const NO_DELAY: Duration = Duration::from_millis(100);
/// A fault shows in most rounds; other work on the machine does not.
const ROUNDS: usize = 3;
/// How many clients ask for `/livez`. A single one is often answered by the thread that is free.
const ASKERS: usize = 8;

#[test]
fn a_run_whose_output_is_dear_to_read_holds_up_nobody() {
    let _alone = machine::alone();
    let service = Service::start("workers = 2\n[limits]\nCPU = 3\nREALTIME = 3");
    let mut seen = Vec::new();
    let mut harmless = 0;
    for _ in 0..ROUNDS {
        let [busy, watched] = [BUSY, WATCHED].map(|code| beside(&service, code));
        seen.push([busy, watched]);
        let as_usual = |of: usize| watched[of] <= busy[of].mul_f64(MORE_MAX).max(NO_DELAY);
        harmless += usize::from(as_usual(0) && as_usual(1));
    }
    println!("99 of 100 of /livez and of small runs, beside a busy and a watched one: {seen:?}");
    assert!(2 * harmless > ROUNDS, "{seen:?}");
}

/// The time of 99 of 100 answers beside a run of this code: of `/livez`, and of small runs.
fn beside(service: &Service, code: &str) -> [Duration; 2] {
    let run = Run::new(code);
    let over = AtomicBool::new(false);
    let live = || assert_eq!(service.get("/livez").status, 200);
    let small = || assert_eq!(service.value_of_x("x = 1"), 1);
    let times = thread::scope(|scope| {
        let askers = [(); ASKERS].map(|()| scope.spawn(|| ask(&over, live)));
        let of_runs = scope.spawn(|| ask(&over, small));
        assert_eq!(service.run(&run).status, 200);
        over.store(true, Ordering::Relaxed);
        let of_live = askers.map(|asker| asker.join().expect("answers"));
        [of_live.concat(), of_runs.join().expect("answers")]
    });
    times.map(|mut times| {
        times.sort();
        times[times.len() * 99 / 100]
    })
}

/// Asks until it is over. Returns how long each answer took.
fn ask(over: &AtomicBool, question: impl Fn()) -> Vec<Duration> {
    let mut times = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        question();
        times.push(asked.elapsed());
        thread::sleep(PAUSE);
    }
    times
}
