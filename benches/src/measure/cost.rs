//! CPU and page faults per execution: the sum over all processes of a contender, those included
//! that have ended, before and after a number of executions (`codejail_harness::processes`).

use super::{BARE, BEFORE, BenchPlan, Field, LIMIT, ORIGINAL, OURS, PAUSE, say};
use crate::contender::{Contender, Http};
use crate::results::Cost;
use crate::workload::{Suite, Workload};
use anyhow::Result;
use codejail_harness::processes::{Usage, ended_children, settled_usage};
use std::time::Duration;

/// Of each: enough that 10 ms of one process are little.
const EXECUTIONS: usize = 300;
/// Of those that start an interpreter each time, and so use much more.
const EXECUTIONS_SLOW: usize = 12;

/// Without replacing workers, whose share `start` has: one that fell into some runs would hide the
/// rest.
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

/// Of a service that is this process and all below it.
pub fn of_service(
    pid: i32,
    client: &mut impl Contender,
    workload: &Workload,
    executions: usize,
) -> Result<(Duration, f64)> {
    // The first one may do what is done once.
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
