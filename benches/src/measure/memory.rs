//! Memory of many sandboxes at a time, as proportional set size: a page that several processes
//! share counts once.

use super::{BARE, BenchPlan, OURS, say};
use crate::contender::{Bare, Ours};
use crate::results::Memory;
use crate::workload::{Suite, Workload};
use anyhow::{Context, Result};
use codejail_api_tests::client::Client;
use codejail_harness::processes::{Process, family, pss_bytes};
use codejail_harness::wait::try_wait_for;
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::process::Child;
use std::time::Duration;

/// Numbers of sandboxes in one worker.
pub const SANDBOXES: [usize; 3] = [2, 10, 50];

/// The longest time until all sandboxes run, on a loaded machine.
const ALL_RUN_MAX: Duration = Duration::from_secs(60);

/// The code that each sandbox executes before it waits.
const CODE: &str = "import numpy, scipy.integrate\n\
                    x = scipy.integrate.quad(numpy.cos, 0, 1)[0] + numpy.eye(3).sum()\n";

/// Measures waiting and running sandboxes, and as many fresh interpreters.
pub fn measure(plan: &BenchPlan, suite: &Suite) -> Result<Vec<Memory>> {
    let mut all = Vec::new();
    for sandboxes in SANDBOXES {
        say(&format!("memory: {sandboxes} sandboxes"));
        let overrides =
            format!("workers = 1\nsandboxes_per_worker = {sandboxes}\nmax_requests = 0");
        let ours = plan.ours(&overrides)?;
        ours.wait_for_sandboxes(sandboxes)?;
        let mut add = |contender: &str, state: &str, pss_bytes| {
            all.push(Memory {
                contender: contender.to_owned(),
                state: state.to_owned(),
                sandboxes,
                pss_bytes,
            });
        };
        add(OURS, "ready", of_service(&ours)?);
        add(OURS, "running", of_running(&ours, sandboxes)?);
        ours.stop()?;
        add(
            BARE,
            "running",
            of_bare(&Bare::new(&plan.python, &suite.scripts)?, sandboxes)?,
        );
    }
    Ok(all)
}

/// The memory of all processes of the service now.
fn of_service(ours: &Ours) -> Result<u64> {
    // A sandbox may end after the processes are listed and before its memory is read, for example
    // because it failed its check. Then all are listed and read again.
    try_wait_for("processes that stay", ALL_RUN_MAX, || {
        let pids = family(ours.pid()).into_iter().map(|process| process.pid);
        Ok(pss_bytes(pids).ok())
    })
}

/// The memory while each sandbox runs code that waits.
fn of_running(ours: &Ours, sandboxes: usize) -> Result<u64> {
    let code = format!("{CODE}import sys, time\ntime.sleep(20)");
    let workload = Workload::new("held", &code, json!({}), json!({}))?;
    let request = workload.request();
    let mut connections = Vec::new();
    for _ in 0..sandboxes {
        connections.push(Client::new(ours.address(), false).leave(&request)?);
    }
    try_wait_for("running sandboxes", ALL_RUN_MAX, || {
        let asleep = family(ours.pid()).into_iter().filter(sleeps_in_a_timer);
        Ok((asleep.count() >= sandboxes).then_some(()))
    })?;
    let bytes = of_service(ours)?;
    // When a client hangs up, its execution ends.
    drop(connections);
    Ok(bytes)
}

/// Whether a process is in `time.sleep`. No other process of the service uses that call.
fn sleeps_in_a_timer(process: &Process) -> bool {
    const CLOCK_NANOSLEEP: &str = if cfg!(target_arch = "x86_64") {
        "230 "
    } else {
        "115 "
    };
    std::fs::read_to_string(format!("/proc/{}/syscall", process.pid))
        .is_ok_and(|text| text.starts_with(CLOCK_NANOSLEEP))
}

fn of_bare(bare: &Bare, count: usize) -> Result<u64> {
    let mut held = Held(bare.hold(CODE, count)?);
    for process in &mut held.0 {
        let stderr = process.stderr.as_mut().context("no standard error")?;
        let mut line = String::new();
        BufReader::new(stderr).read_line(&mut line)?;
        anyhow::ensure!(line == "ready\n", "a bare Python said {line:?}");
    }
    pss_bytes(held.0.iter().map(|process| process.id().cast_signed()))
}

/// Processes that are killed when this is dropped.
struct Held(Vec<Child>);

impl Drop for Held {
    fn drop(&mut self) {
        for process in &mut self.0 {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
