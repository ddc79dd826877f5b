//! Large requests don't hold up small ones: `/livez` answers while the megabytes of others are
//! scanned, merged and quoted, or while a run writes all it can.

use codejail_harness::http::{self, FORM, post};
use codejail_harness::{Run, Service};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const SAMPLES: usize = 400;
const PAUSE: Duration = Duration::from_millis(5);

/// The longest answer may take so many times as long as 99 of 100 answers of the quiet service. The
/// cores are busy, but the threads that answer are not. When they were, the factor was 500 and
/// more.
const STALL_MAX: u32 = 200;

/// Writes an object with so many distinct keys to the real standard output, as any author can.
const MANY_KEYS: &str = "import os
out = b'{' + b','.join(b'\"%x\":1' % n for n in range(1500000)) + b'}'
while out: out = out[os.write(1, out):]
os._exit(0)";

#[test]
fn megabytes_of_others_do_not_hold_up_what_is_small() {
    let service = Service::start("workers = 2\n[limits]\nCPU = 60\nREALTIME = 60");
    let quiet = liveness(&service);
    let done = AtomicBool::new(false);
    // Quoted, this text would have five times as many bytes.
    let quoted = format!(
        r#"{{"code": "", "globals_dict": "{}"}}"#,
        "\u{7f}".repeat(8 << 20)
    );
    let quoted = http::form(&quoted);
    let many_keys = Run::new(MANY_KEYS);
    let busy = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let answer = post(service.address, Some(FORM), &quoted);
                assert_eq!(answer.status, 400);
                assert!(answer.body.len() < 1000, "{}", answer.body.len());
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let answer = service.run(&many_keys);
                assert_eq!(answer.status, 200);
                assert!(answer.body.len() > 10 << 20, "{}", answer.body.len());
            }
        });
        let busy = liveness(&service);
        done.store(true, Ordering::Relaxed);
        busy
    });
    println!("/livez, quiet: {quiet:?}, beside megabytes of others: {busy:?}");
    let ([_, usual, _], [_, _, longest]) = (quiet, busy);
    assert!(longest < STALL_MAX * usual, "{quiet:?}, {busy:?}");
}

/// The median, the 99th percentile and the longest of many answers to `/livez`.
fn liveness(service: &Service) -> [Duration; 3] {
    let mut times: Vec<Duration> = (0..SAMPLES)
        .map(|_| {
            thread::sleep(PAUSE);
            let asked = Instant::now();
            assert_eq!(service.get("/livez").status, 200);
            asked.elapsed()
        })
        .collect();
    times.sort();
    [SAMPLES / 2, SAMPLES * 99 / 100, SAMPLES - 1].map(|at| times[at])
}

#[test]
fn a_flood_keeps_no_core_of_the_supervisor_busy() {
    let service = Service::start("[limits]\nCPU = 60\nREALTIME = 60");
    let flood = "import os, time
block = b'x' * 65536
began = time.monotonic()
for _ in range(32768): os.write(2, block)
x = time.monotonic() - began";
    let before = cpu_ticks(service.pid());
    let took = service.value_of_x(flood).as_f64().expect("seconds");
    let of_supervisor = (cpu_ticks(service.pid()) - before) as f64 / 100.0;
    println!("2 GiB in {took} s: {of_supervisor} s of the supervisor");
    assert!(of_supervisor < took / 6.0, "{of_supervisor} s of {took} s");
}

/// User and system time, in hundredths of a second.
fn cpu_ticks(pid: i32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    let (_, rest) = stat.rsplit_once(") ").expect("a name");
    let fields = rest.split(' ').skip(11).take(2);
    fields
        .map(|ticks| ticks.parse::<u64>().expect("ticks"))
        .sum()
}
