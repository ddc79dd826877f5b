//! A well-behaved client beside hundreds of hostile clients. However small the pieces of the
//! hostile bodies are, they cost it the same, and the supervisor's memory stays below the bound of
//! docs/configuration.md.

use codejail_harness::python::sandbox_python;
use codejail_harness::{Run, Service};
use serde_json::json;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How many hostile clients there are, and for how long.
struct Load {
    senders: usize,
    readers: usize,
    body_bytes: usize,
    /// `body_timeout_ms`, which ends the hostile requests.
    time: Duration,
}

/// The pause between two requests of the well-behaved client.
const PAUSE: Duration = Duration::from_millis(10);
/// How often the two kinds of load take turns, so that other work on the machine disturbs both.
const TURNS: usize = 2;

#[test]
fn tiny_pieces_cost_others_no_more_than_large_ones() {
    let load = Load {
        senders: 16,
        readers: 64,
        body_bytes: 8 << 20,
        time: Duration::from_secs(4),
    };
    // There are few samples here, on a machine that tests share. The long form is the measurement.
    assert_ratio(&load, 0.9, 3.0);
}

#[test]
#[ignore = "minutes: make soak"]
fn tiny_pieces_cost_others_no_more_than_large_ones_whoever_sends_them_and_how_many() {
    let load = Load {
        senders: 64,
        readers: 512,
        body_bytes: 32 << 20,
        time: Duration::from_secs(30),
    };
    assert_ratio(&load, 0.99, 2.0);
}

/// Compares the quantile of the well-behaved client's times: beside clients that send single bytes
/// it is at most so many times what it is beside clients that send 64 KiB at a time.
fn assert_ratio(load: &Load, quantile: f64, ratio_max: f64) {
    let timeout = load.time.as_millis();
    let service = Service::start(&format!(
        "workers = 2\nconnections_max = {}\nbody_timeout_ms = {timeout}",
        load.senders + load.readers + 64,
    ));
    let quiet = ask_for(&service, Duration::from_secs(2));
    let mut large = Vec::new();
    let mut tiny = Vec::new();
    for _ in 0..TURNS {
        large.extend(beside(&service, load, 1 << 16));
        tiny.extend(beside(&service, load, 1));
    }
    let peak = peak_mib(service.pid());
    let at = |times: &mut Vec<Duration>| {
        times.sort();
        times[(times.len() as f64 * quantile) as usize]
    };
    let [quiet, large, tiny] = [quiet, large, tiny].map(|mut times| (times.len(), at(&mut times)));
    println!(
        "well-behaved client, requests and quantile {quantile}: quiet {quiet:?}, beside pieces of 64 KiB \
         {large:?}, beside single bytes {tiny:?}; supervisor's peak {peak} MiB of {} MiB",
        bound_mib(&service)
    );
    assert!(peak <= bound_mib(&service), "{peak} MiB");
    assert!(
        tiny.1.as_secs_f64() <= ratio_max * large.1.as_secs_f64(),
        "{tiny:?}, {large:?}"
    );
}

/// The times of a client that asks for small executions beside such a load.
fn beside(service: &Service, load: &Load, piece: usize) -> Vec<Duration> {
    let mut hostile = hostile_clients(service, load, piece);
    let times = ask_for(service, load.time);
    // The hostile clients end when their input is closed.
    drop(hostile.stdin.take());
    assert!(hostile.wait().expect("wait").success());
    times
}

fn hostile_clients(service: &Service, load: &Load, piece: usize) -> Child {
    let per_second = load.readers as u64 / load.time.as_secs() * 2;
    let numbers = [piece, load.body_bytes, load.senders, load.readers];
    Command::new("nice")
        .args(["-n", "19"])
        .arg(sandbox_python())
        .args(["-c", include_str!("clients.py")])
        .arg(service.address.ip().to_string())
        .arg(service.address.port().to_string())
        .args(numbers.map(|number| number.to_string()))
        .arg(per_second.to_string())
        .stdin(Stdio::piped())
        .spawn()
        .expect("Python")
}

fn ask_for(service: &Service, time: Duration) -> Vec<Duration> {
    // As large as the smallest code that the LMS sends.
    let code = format!("x = 1\n#{}", " ".repeat(3600));
    let started = Instant::now();
    let mut times = Vec::new();
    while started.elapsed() < time {
        let asked = Instant::now();
        let answer = service.run(&Run::new(&code));
        times.push(asked.elapsed());
        assert_eq!(answer.success(), json!({"x": 1}));
        std::thread::sleep(PAUSE);
    }
    times
}

/// The bound that docs/configuration.md states, for the keys that have their defaults here.
fn bound_mib(service: &Service) -> usize {
    let config = codejail::config::Config::default();
    let file = fs::read_to_string(service.dir().join("codejail.toml")).expect("read");
    let file: toml::Table = file.parse().expect("TOML");
    let connections = file["connections_max"].as_integer().expect("a number") as usize;
    let executions = file["workers"].as_integer().expect("a number") as usize;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let bytes = (64 << 20)
        + connections * (512 << 10)
        + config.bodies_bytes_max
        + executions * (config.reply_bytes_max + config.output_bytes_max)
        + (cores / 2).max(1) * 12 * config.body_bytes_max.max(config.reply_bytes_max);
    bytes >> 20
}

fn peak_mib(pid: i32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    let kib: usize = number.expect("VmHWM").parse().expect("a number");
    kib >> 10
}
