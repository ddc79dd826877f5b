//! This build beside an earlier one, in rounds. Each round starts both anew and asks them in turn.
//!
//! What else the machine does hits both alike, so the ratio of a round says more than either figure; two
//! services of one build differ too (by the huge pages that each one got), so the median of the rounds
//! says more than a single ratio.

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

/// Two services: this build's, and the earlier one's.
struct Pair {
    services: [Ours; 2],
    /// Which of them comes first in this round.
    order: [usize; 2],
}

/// Compares the time of each workload.
pub fn latency(plan: &BenchPlan, suite: &Suite) -> Result<Vec<Comparison>> {
    let mut all: Vec<Comparison> = (suite.workloads.iter())
        .map(|workload| Comparison::new(&workload.name, "p50 ms"))
        .collect();
    for round in 0..ROUNDS {
        say(&format!("before: latency, round {}", round + 1));
        let pair = Pair::start(plan, round)?;
        for (workload, comparison) in suite.workloads.iter().zip(&mut all) {
            let medians = pair.medians(workload, plan.count(CALLS))?;
            comparison.add(medians.map(|us| f64::from(us) / 1e3));
        }
        pair.stop()?;
    }
    Ok(all)
}

/// Compares CPU and page faults of each workload.
pub fn cost(plan: &BenchPlan, suite: &Suite) -> Result<Vec<Comparison>> {
    let mut all: Vec<[Comparison; 2]> = (suite.workloads.iter())
        .map(|workload| ["CPU ms", "page faults"].map(|what| Comparison::new(&workload.name, what)))
        .collect();
    for round in 0..ROUNDS {
        say(&format!("before: cost, round {}", round + 1));
        let pair = Pair::start(plan, round)?;
        for (workload, [cpu, faults]) in suite.workloads.iter().zip(&mut all) {
            let costs = pair.costs(workload, plan.count(EXECUTIONS))?;
            cpu.add(costs.map(|(cpu, _)| cpu.as_secs_f64() * 1e3));
            faults.add(costs.map(|(_, faults)| faults));
        }
        pair.stop()?;
    }
    Ok(all.into_iter().flatten().collect())
}

impl Pair {
    fn start(plan: &BenchPlan, round: usize) -> Result<Self> {
        let before = || plan.before(NEVER_REPLACED)?.context("--before");
        let ours = || plan.ours(NEVER_REPLACED);
        let (services, order) = if round.is_multiple_of(2) {
            ([ours()?, before()?], [0, 1])
        } else {
            let before = before()?;
            ([ours()?, before], [1, 0])
        };
        Ok(Self { services, order })
    }

    /// Medians in microseconds, each call of the one followed by a call of the other.
    fn medians(&self, workload: &Workload, calls: usize) -> Result<[u32; 2]> {
        let mut clients = self.clients();
        for client in &mut clients {
            client.execute(workload)?;
        }
        let mut times_us = [Vec::new(), Vec::new()];
        for _ in 0..calls {
            for which in self.order {
                std::thread::sleep(PAUSE);
                times_us[which].push(micros(clients[which].execute(workload)?));
            }
        }
        Ok(times_us.map(|times_us| median(&times_us)))
    }

    /// CPU and page faults per execution, one after the other: a service's figures are its whole
    /// processes'.
    fn costs(&self, workload: &Workload, executions: usize) -> Result<[(Duration, f64); 2]> {
        let mut clients = self.clients();
        let mut costs = [(Duration::ZERO, 0.0); 2];
        for which in self.order {
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
