//! CPU time and page faults per execution. Both are sums over all processes of a contender, also
//! over those that have ended (`codejail_harness::processes`). The sums are read before and after a
//! number of executions.

use super::{BARE, BEFORE, BenchPlan, Field, LIMIT, ORIGINAL, OURS, PAUSE, say};
use crate::contender::{Contender, Http};
use crate::results::Cost;
use crate::workload::{Suite, Workload};
use anyhow::Result;
use codejail_harness::processes::{Usage, ended_children, settled_usage};
use std::time::Duration;

/// Executions of each contender. With so many, 10 ms more or less of one process do not matter.
const EXECUTIONS: usize = 300;
/// Executions of a contender that starts an interpreter each time, and so uses much more.
const EXECUTIONS_SLOW: usize = 12;

/// No worker is replaced during the measurement: the cost of one replacement would hide the cost of
/// the executions. `start.rs` measures what a new worker costs.
pub(super) const NEVER_REPLACED: &str = "max_requests = 0";

/// Measures each workload with each contender.
pub fn measure(plan: &BenchPlan, field: &mut Field, suite: &Suite) -> Result<Vec<Cost>> {
    let (ours, before) = (plan.ours(NEVER_REPLACED)?, plan.before(NEVER_REPLACED)?);
    let mut all = Vec::new();
    for workload in &suite.workloads {
        say(&format!("cost: {}", workload.name));
        let executions = plan.count(EXECUTIONS);
        let slow = plan.count(EXECUTIONS_SLOW);
        let mut add = |contender: &str, executions: usize, (cpu, faults): (Duration, f64)| {
            all.push(Cost {
                workload: workload.name.clone(),
                contender: contender.to_owned(),
                cpu_us: cpu.as_secs_f64() * 1e6,
                faults,
                executions,
            });
        };
        let client = &mut Http::new(ours.address(), false);
        add(
            OURS,
            executions,
            of_service(ours.pid(), client, workload, executions)?,
        );
        if let Some(before) = &before {
            let client = &mut Http::new(before.address(), false);
            add(
                BEFORE,
                executions,
                of_service(before.pid(), client, workload, executions)?,
            );
        }
        if let Some(original) = &field.original {
            let client = &mut Http::new(original.address(), false);
            add(
                ORIGINAL,
                slow,
                of_service(original.pid(), client, workload, slow)?,
            );
        }
        let bare = of(
            ended_children,
            &mut field.bare,
            workload,
            slow,
            Duration::ZERO,
        )?;
        add(BARE, slow, bare);
        let pid = field.limit.pid();
        let limit = of_service(pid, &mut field.limit, workload, executions)?;
        add(LIMIT, executions, limit);
    }
    if let Some(before) = before {
        before.stop()?;
    }
    ours.stop()?;
    Ok(all)
}

/// CPU time and page faults per execution of a service: this process and all below it.
pub fn of_service(
    pid: i32,
    client: &mut impl Contender,
    workload: &Workload,
    executions: usize,
) -> Result<(Duration, f64)> {
    // The first execution may do work that later ones need not repeat.
    client.execute(workload)?;
    of(
        || settled_usage(pid),
        client,
        workload,
        executions,
        PAUSE / 3,
    )
}

fn of(
    used: impl Fn() -> Result<Usage>,
    contender: &mut impl Contender,
    workload: &Workload,
    executions: usize,
    pause: Duration,
) -> Result<(Duration, f64)> {
    let before = used()?;
    for _ in 0..executions {
        contender.execute(workload)?;
        std::thread::sleep(pause);
    }
    Ok(used()?.per_execution_since(before, executions))
}
