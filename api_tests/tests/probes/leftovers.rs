//! What attacks leave in the kernel after their run, and for how long they keep a processor from a
//! process that should have it at once.
//!
//! The kernel's memory is that of the whole machine, so other programs may take some meanwhile.
//! They do so now and then, but an attack that leaves something does so each time. So the best of a
//! few tries counts.

use super::runs::run_scaled;
use super::services::{LIMITS, Probed};
use codejail_api_tests::run::{self, Chosen};
use codejail_harness::python::sandbox_python;
use codejail_harness::root::say;
use codejail_harness::{machine, needs_root};
use nix::unistd::{SysconfVar, sysconf};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

/// The time after which an attack's memory must be given back.
const GONE: Duration = Duration::from_secs(2);
/// A growth of the kernel's structures that means nothing: the per-processor lists of a dozen
/// caches.
const STRUCTURES_MAX: i64 = 4 << 20;
/// The same for pages that are neither free, nor files', nor processes'.
const PAGES_MAX: i64 = 16 << 20;
const TRIES: usize = 3;

/// Structures that the kernel can't give back when memory is short: lines of `/proc/meminfo`.
const STRUCTURES: [&str; 4] = ["SUnreclaim", "KernelStack", "PageTables", "Percpu"];
/// All memory that is not the kernel's own, or that it can give back. No line has the buffers of
/// sockets and pipes.
const OTHERS: [&str; 5] = ["MemFree", "Buffers", "Cached", "AnonPages", "SReclaimable"];

/// The words of the kernel's log if a processor was kept for too long.
const COMPLAINTS: [&str; 4] = [
    "soft lockup",
    "hard LOCKUP",
    "rcu_sched self-detected",
    "blocked for more than",
];

/// A process of high priority that may use one processor. Between one byte that it gets and the
/// next it sleeps for a millisecond again and again. How much too late it wakes up is how long
/// interrupts or the scheduler were off.
const SLEEPER: &str = "
import os, select, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
while os.read(0, 1):
    late = []
    while not late or not select.select([0], [], [], 0)[0]:
        begun = time.monotonic()
        time.sleep(0.001)
        late.append(time.monotonic() - begun - 0.001)
    os.read(0, 1)
    late.sort()
    print(late[len(late) * 999 // 1000] * 1e3, flush=True)
";

/// A sleeper on one processor.
struct Sleeper {
    process: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Sleeper {
    fn start(processor: usize) -> Self {
        let mut process = Command::new(sandbox_python())
            .args(["-c", SLEEPER, &processor.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the sandbox's Python");
        let asks = process.stdin.take().expect("a pipe");
        let answers = BufReader::new(process.stdout.take().expect("a pipe"));
        Self {
            process,
            asks,
            answers,
        }
    }

    fn next_phase(&mut self) {
        self.asks.write_all(b".").expect("a sleeper");
    }

    fn answer(&mut self) -> f64 {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("a sleeper");
        line.trim().parse().expect("milliseconds")
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        // It may have ended. It is waited for in both cases.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Milliseconds: on the worst processor 999 of 1000 wakes were no later.
fn latest_beside(sleepers: &mut [Sleeper], meanwhile: impl FnOnce()) -> f64 {
    sleepers.iter_mut().for_each(Sleeper::next_phase);
    meanwhile();
    sleepers.iter_mut().for_each(Sleeper::next_phase);
    sleepers.iter_mut().map(Sleeper::answer).fold(0.0, f64::max)
}

/// Bytes of the kernel's memory.
struct Held {
    structures: i64,
    pages: i64,
    /// Bytes of objects that are in use.
    caches: BTreeMap<String, i64>,
}

impl Held {
    fn now() -> Self {
        let memory = fs::read_to_string("/proc/meminfo").expect("the kernel's memory");
        let line = |name: &str| {
            let of = |line: &str| {
                line.strip_prefix(name)?
                    .strip_prefix(':')?
                    .split_whitespace()
                    .next()?
                    .parse()
                    .ok()
            };
            let kib: Option<i64> = memory.lines().find_map(of);
            kib.unwrap_or_else(|| panic!("{name}: {memory}")) * 1024
        };
        // Only root may read it.
        let caches = fs::read_to_string("/proc/slabinfo").unwrap_or_default();
        let cache = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |at: usize| words[at].parse::<i64>().expect("a number");
            (words[0].to_owned(), number(1) * number(3))
        };
        Self {
            structures: STRUCTURES.into_iter().map(line).sum(),
            pages: line("MemTotal")
                - OTHERS.into_iter().map(line).sum::<i64>()
                - free_by_processor(),
            caches: caches.lines().skip(2).map(cache).collect(),
        }
    }
}

/// Bytes on the lists of free pages that each processor has. `MemFree` does not count them.
fn free_by_processor() -> i64 {
    let zones = fs::read_to_string("/proc/zoneinfo").expect("the memory's zones");
    let counts = zones
        .lines()
        .filter_map(|line| line.trim().strip_prefix("count:"));
    let pages = counts.map(|count| count.trim().parse::<i64>().expect("a number"));
    let page = sysconf(SysconfVar::PAGE_SIZE).expect("a page's size");
    pages.sum::<i64>() * page.expect("a page has a size")
}

fn complaints() -> usize {
    let log = Command::new("dmesg").output().expect("dmesg").stdout;
    let log = String::from_utf8_lossy(&log);
    let complains = |line: &&str| COMPLAINTS.iter().any(|complaint| line.contains(complaint));
    log.lines().filter(complains).count()
}

/// The memory and the delay that one attack has left.
struct Left {
    structures: i64,
    pages: i64,
    /// The three caches that grew most.
    caches: Vec<(i64, String)>,
    late_ms: f64,
}

impl Left {
    fn since(before: &Held, late_ms: f64) -> Self {
        let after = Held::now();
        let grew = |(name, bytes): (&String, &i64)| {
            (bytes - before.caches.get(name).unwrap_or(&0), name.clone())
        };
        let mut caches: Vec<(i64, String)> = after.caches.iter().map(grew).collect();
        caches.sort_unstable_by(|one, other| other.cmp(one));
        caches.truncate(3);
        Self {
            structures: after.structures - before.structures,
            pages: after.pages - before.pages,
            caches,
            late_ms,
        }
    }

    fn is_nothing(&self) -> bool {
        self.structures <= STRUCTURES_MAX && self.pages <= PAGES_MAX
    }

    /// The figures in one line.
    fn described(&self) -> String {
        let caches = self.caches.iter();
        let caches: Vec<String> = caches
            .map(|(bytes, name)| format!("{name} {}", bytes / 1024))
            .collect();
        let [structures, pages] = [self.structures, self.pages].map(|bytes| bytes / 1024);
        format!(
            "KiB left: {structures} of structures, {pages} of pages; caches that grew most: {}; wakes late by {:.2} ms",
            caches.join(", "),
            self.late_ms
        )
    }
}

fn attack(service: &Probed, probe: Chosen, sleepers: &mut [Sleeper], scale: f64) -> Left {
    let before = Held::now();
    let late_ms = latest_beside(sleepers, || {
        run_scaled(&service.target(), &[probe], &service.decoys, LIMITS, scale);
    });
    // This is no wait for a state: the question is what is there two seconds later.
    thread::sleep(GONE);
    Left::since(&before, late_ms)
}

#[test]
fn memory_that_the_kernel_keeps_is_seen() {
    let _alone = machine::alone();
    let before = Held::now();
    let pairs: Vec<_> = (0..256)
        .map(|_| UnixStream::pair().expect("sockets"))
        .collect();
    for (writes, _) in &pairs {
        let mut writes = writes;
        writes.set_nonblocking(true).expect("a socket");
        while writes.write(&[0; 32768]).is_ok() {}
    }
    let left = Left::since(&before, 0.0);
    assert!(!left.is_nothing(), "{}", left.described());
}

fn leaves_nothing(unprivileged: bool) {
    let _alone = machine::alone();
    let scale = std::env::var("CODEJAIL_TEST_VICTIM_SCALE").unwrap_or_else(|_| "1".to_owned());
    let scale: f64 = scale.parse().expect("a number");
    let service = Probed::start(unprivileged, &[]);
    let processors = thread::available_parallelism().expect("processors").get();
    let mut sleepers: Vec<Sleeper> = (0..processors).map(Sleeper::start).collect();
    let attacks = run::choose_with_costs("");
    let attacks = attacks
        .into_iter()
        .filter(|(group, probe)| ["resources", "costs"].contains(&group.name) && probe.is_attack());
    let complaints_before = complaints();
    let mut findings = Vec::new();
    for chosen in attacks {
        let mut left = attack(&service, chosen, &mut sleepers, scale);
        for _ in 1..TRIES {
            if left.is_nothing() {
                break;
            }
            left = attack(&service, chosen, &mut sleepers, scale);
        }
        let line = format!("{}: {}\n", chosen.1.name, left.described());
        say(&line);
        if !left.is_nothing() {
            findings.push(line);
        }
    }
    assert!(findings.is_empty(), "{findings:#?}");
    assert_eq!(complaints(), complaints_before, "dmesg has the lines");
}

#[test]
#[ignore = "minutes, and the whole machine: make victim"]
fn no_attack_on_a_service_started_as_root_leaves_the_kernel_anything() {
    needs_root!();
    leaves_nothing(false);
}

#[test]
#[ignore = "minutes, and the whole machine: make victim"]
fn no_attack_on_a_service_started_by_another_user_leaves_the_kernel_anything() {
    // Only root may read /proc/slabinfo and have the sleeper's priority.
    needs_root!();
    leaves_nothing(true);
}
