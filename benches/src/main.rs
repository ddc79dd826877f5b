//! Time per execution over HTTP, with one client: with keep-alive, and without as the LMS calls.
//!
//! Starts the release build with the development configuration, measures, stops it. Figures belong
//! to the machine and day that they are printed with.

mod service;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use codejail_api_tests::client::Client;
use service::Service;
use std::time::{Duration, Instant};

/// Measures a service of this build on a loopback port.
#[derive(Parser)]
struct Arguments {
    /// The `codejail` executable, with the worker module beside it.
    #[arg(long, default_value = "target/release/codejail")]
    codejail: std::path::PathBuf,
    /// The sandbox venv's interpreter.
    #[arg(long, default_value = "/sandbox/venv/bin/python")]
    python: std::path::PathBuf,
    /// Executions of each workload.
    #[arg(long, default_value_t = 1000)]
    executions: usize,
}

/// What is executed: a name, the code, and the globals that must come back.
struct Workload {
    name: &'static str,
    code: &'static str,
    expected: i64,
}

const WORKLOADS: &[Workload] = &[
    Workload {
        name: "x = 1 + 1",
        code: "x = 1 + 1",
        expected: 2,
    },
    Workload {
        name: "numpy + scipy",
        code: "import numpy, scipy.integrate\n\
               x = int(round(scipy.integrate.quad(numpy.cos, 0, numpy.pi / 2)[0] + numpy.eye(3).sum()))",
        expected: 4,
    },
];

/// Between two requests of one client, so that a sandbox's successor is not made while the next run is
/// measured; without it the rate at which sandboxes are made is measured too.
const PAUSE: Duration = Duration::from_millis(20);

/// Executions before the clock counts: sandboxes prepared while the machine was busy starting.
const WARM_UP: usize = 50;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let service = Service::start(&arguments.codejail, &arguments.python)?;
    println!("{}", service::machine()?);
    println!(
        "{:<16} {:<14} {:>8} {:>8} {:>8}",
        "workload", "connection", "p50 ms", "p95 ms", "p99 ms"
    );
    for workload in WORKLOADS {
        for (keep_alive, pause) in [(true, PAUSE), (false, PAUSE), (true, Duration::ZERO)] {
            let times = measure(&service, workload, keep_alive, pause, arguments.executions)
                .with_context(|| workload.name)?;
            let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
            let connection = match (keep_alive, pause) {
                (true, Duration::ZERO) => "kept, no pause",
                (true, _) => "kept",
                (false, _) => "new",
            };
            println!(
                "{:<16} {connection:<14} {:>8.3} {:>8.3} {:>8.3}",
                workload.name,
                at(50),
                at(95),
                at(99)
            );
        }
    }
    service.stop()
}

/// Times of all executions, sorted. Every answer is checked.
fn measure(
    service: &Service,
    workload: &Workload,
    keep_alive: bool,
    pause: Duration,
    executions: usize,
) -> Result<Vec<Duration>> {
    ensure!(executions > 0, "--executions must be at least 1");
    let payload = serde_json::json!({ "code": workload.code, "globals_dict": {} }).to_string();
    let mut client = Client::new(service.address(), keep_alive);
    let mut times = Vec::with_capacity(executions);
    for number in 0..WARM_UP + executions {
        let started = Instant::now();
        let answer = client.execute(&payload)?;
        let elapsed = started.elapsed();
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        ensure!(
            answer["globals_dict"]["x"] == workload.expected,
            "a wrong answer: {answer}"
        );
        if number >= WARM_UP {
            times.push(elapsed);
        }
        std::thread::sleep(pause);
    }
    times.sort_unstable();
    Ok(times)
}
