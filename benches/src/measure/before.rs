//! This build beside an earlier one: rounds in which both are asked in turn. What the machine does else hits
//! both alike, so the ratio of a round says more than either figure, and the median of the rounds more
//! than one of them.

use super::cost::{NEVER_REPLACED, of_service};
use super::{BenchPlan, PAUSE, say};
use crate::contender::{Contender, Http, Ours};
use crate::results::Comparison;
use crate::sampling::{median, micros};
use crate::workload::{Suite, Workload};
use anyhow::{Context, Result};
use std::time::Duration;

/// In half of them this build comes first, in the other half the earlier one.
const ROUNDS: usize = 8;

/// Of each, in each round: a median of so many moves little.
const CALLS: usize = 100;

/// Of each, in each round: some 900 ms of CPU, of which the kernel's ticks are one per cent.
const EXECUTIONS: usize = 300;

/// Two services and their clients: this build's first.
struct Pair {
    services: [Ours; 2],
}

/// Compares the time of each workload.
pub fn latency(plan: &BenchPlan, suite: &Suite) -> Result<Vec<Comparison>> {
    let pair = Pair::start(plan)?;
    let mut all = Vec::new();
    for workload in &suite.workloads {
        say(&format!("before: latency of {}", workload.name));
        let mut comparison = Comparison::new(&workload.name, "p50 ms");
        for round in 0..ROUNDS {
            let medians = pair.medians(workload, plan.count(CALLS), round)?;
            comparison.add(medians.map(|us| f64::from(us) / 1e3));
        }
        all.push(comparison);
    }
    pair.stop()?;
    Ok(all)
}

/// Compares CPU and page faults of each workload.
pub fn cost(plan: &BenchPlan, suite: &Suite) -> Result<Vec<Comparison>> {
    let pair = Pair::start(plan)?;
    let mut all = Vec::new();
    for workload in &suite.workloads {
        say(&format!("before: cost of {}", workload.name));
        let mut cpu = Comparison::new(&workload.name, "CPU ms");
        let mut faults = Comparison::new(&workload.name, "page faults");
        for round in 0..ROUNDS {
            let costs = pair.costs(workload, plan.count(EXECUTIONS), round)?;
            cpu.add(costs.map(|(cpu, _)| cpu.as_secs_f64() * 1e3));
            faults.add(costs.map(|(_, faults)| faults));
        }
        all.extend([cpu, faults]);
    }
    pair.stop()?;
    Ok(all)
}

impl Pair {
    fn start(plan: &BenchPlan) -> Result<Self> {
        let before = plan.before(NEVER_REPLACED)?.context("--before")?;
        let ours = plan.ours(NEVER_REPLACED)?;
        Ok(Self {
            services: [ours, before],
        })
    }

    /// Medians in microseconds, each call of the one followed by a call of the other.
    fn medians(&self, workload: &Workload, calls: usize, round: usize) -> Result<[u32; 2]> {
        let mut clients = self.clients();
        for client in &mut clients {
            client.execute(workload)?;
        }
        let mut times_us = [Vec::new(), Vec::new()];
        for _ in 0..calls {
            for which in order(round) {
                std::thread::sleep(PAUSE);
                times_us[which].push(micros(clients[which].execute(workload)?));
            }
        }
        Ok(times_us.map(|times_us| median(&times_us)))
    }

    /// CPU and page faults per execution, one after the other: a service's figures are its whole
    /// processes'.
    fn costs(
        &self,
        workload: &Workload,
        executions: usize,
        round: usize,
    ) -> Result<[(Duration, f64); 2]> {
        let mut clients = self.clients();
        let mut costs = [(Duration::ZERO, 0.0); 2];
        for which in order(round) {
            let pid = self.services[which].pid();
            costs[which] = of_service(pid, &mut clients[which], workload, executions)?;
        }
        Ok(costs)
    }

    fn clients(&self) -> [Http; 2] {
        self.services
            .each_ref()
            .map(|service| Http::new(service.address(), false))
    }

    fn stop(self) -> Result<()> {
        self.services.into_iter().try_for_each(Ours::stop)
    }
}

fn order(round: usize) -> [usize; 2] {
    if round.is_multiple_of(2) {
        [0, 1]
    } else {
        [1, 0]
    }
}
