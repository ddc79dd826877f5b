//! This build compared with another contender, in rounds. The other contender is an earlier build,
//! or this build on another Python. Each round starts both anew and asks them in turn.
//!
//! Other load of the machine hits both alike, so the ratio of a round says more than either figure.
//! Two services of the same build differ too (in the huge pages that each got), so the median of
//! the rounds says more than a single ratio.

use super::cost::{NEVER_REPLACED, of_service};
use super::{BEFORE, BenchPlan, PAUSE, say};
use crate::contender::{Bare, Contender, Http, Ours};
use crate::machine;
use crate::results::Comparison;
use crate::sampling::{median, micros};
use crate::workload::{Suite, Workload};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::time::Duration;

/// In half of the rounds this build comes first, in the other half the other contender.
const ROUNDS: usize = 8;

/// Calls of each service in each round. The median of that many calls changes little.
const CALLS: usize = 100;

/// Executions of each service in each round. They take some 900 ms of CPU time. The kernel counts
/// that time in ticks of about one per cent of it.
const EXECUTIONS: usize = 300;

/// A contender that this build is compared with.
#[derive(Debug)]
pub struct Rival {
    name: String,
    codejail: PathBuf,
    python: PathBuf,
    /// The workloads, with the answers that this contender's Python gives.
    suite: Suite,
}

impl Rival {
    /// An earlier build, if there is one, and this build on each other Python. `answered` has the
    /// answers of the Python that everything else is measured with; `plain` has no answers yet.
    pub fn all(plan: &BenchPlan, answered: &Suite, plain: &Suite) -> Result<Vec<Self>> {
        let earlier = plan.before.iter().map(|codejail| Self {
            name: BEFORE.to_owned(),
            codejail: codejail.clone(),
            python: plan.python.clone(),
            suite: answered.clone(),
        });
        let mut all: Vec<Self> = earlier.collect();
        for python in &plan.other_pythons {
            let mut suite = plain.clone();
            let bare = Bare::new(python, &suite.scripts)?;
            for workload in &mut suite.workloads {
                let answer = bare.answer(workload)?;
                workload
                    .must_answer(answer)
                    .with_context(|| python.display().to_string())?;
            }
            all.push(Self {
                name: machine::version(python)?,
                codejail: plan.codejail.clone(),
                python: python.clone(),
                suite,
            });
        }
        Ok(all)
    }

    fn comparison(&self, workload: &Workload, what: &str) -> Comparison {
        Comparison::new(&self.name, &workload.name, what)
    }

    /// Each workload twice: with the answer of this build's Python, and with the answer of the
    /// other contender's Python.
    fn workloads<'a>(&'a self, suite: &'a Suite) -> impl Iterator<Item = [&'a Workload; 2]> {
        suite
            .workloads
            .iter()
            .zip(&self.suite.workloads)
            .map(|(ours, theirs)| [ours, theirs])
    }
}

/// Two running services: that of this build, and the other contender.
struct Pair {
    services: [Ours; 2],
    /// The order in which the two are asked in this round.
    order: [usize; 2],
}

/// Compares the time of each workload.
pub fn latency(plan: &BenchPlan, suite: &Suite, rival: &Rival) -> Result<Vec<Comparison>> {
    let mut all: Vec<Comparison> = (suite.workloads.iter())
        .map(|workload| rival.comparison(workload, "p50 ms"))
        .collect();
    for round in 0..ROUNDS {
        say(&format!("{}: latency, round {}", rival.name, round + 1));
        let pair = Pair::start(plan, rival, round)?;
        for (workloads, comparison) in rival.workloads(suite).zip(&mut all) {
            let medians = pair.medians(workloads, plan.count(CALLS))?;
            comparison.add(medians.map(|us| f64::from(us) / 1e3));
        }
        pair.stop()?;
    }
    Ok(all)
}

/// Compares CPU and page faults of each workload.
pub fn cost(plan: &BenchPlan, suite: &Suite, rival: &Rival) -> Result<Vec<Comparison>> {
    let mut all: Vec<[Comparison; 2]> = (suite.workloads.iter())
        .map(|workload| ["CPU ms", "page faults"].map(|what| rival.comparison(workload, what)))
        .collect();
    for round in 0..ROUNDS {
        say(&format!("{}: cost, round {}", rival.name, round + 1));
        let pair = Pair::start(plan, rival, round)?;
        for (workloads, [cpu, faults]) in rival.workloads(suite).zip(&mut all) {
            let costs = pair.costs(workloads, plan.count(EXECUTIONS))?;
            cpu.add(costs.map(|(cpu, _)| cpu.as_secs_f64() * 1e3));
            faults.add(costs.map(|(_, faults)| faults));
        }
        pair.stop()?;
    }
    Ok(all.into_iter().flatten().collect())
}

impl Pair {
    fn start(plan: &BenchPlan, rival: &Rival, round: usize) -> Result<Self> {
        let other = || BenchPlan::build(&rival.codejail, &rival.python, NEVER_REPLACED);
        let ours = || plan.ours(NEVER_REPLACED);
        let (services, order) = if round.is_multiple_of(2) {
            ([ours()?, other()?], [0, 1])
        } else {
            let other = other()?;
            ([ours()?, other], [1, 0])
        };
        Ok(Self { services, order })
    }

    /// Medians in microseconds. Each call of one service is followed by a call of the other.
    fn medians(&self, workloads: [&Workload; 2], calls: usize) -> Result<[u32; 2]> {
        let mut clients = self.clients();
        for (client, workload) in clients.iter_mut().zip(workloads) {
            client.execute(workload)?;
        }
        let mut times_us = [Vec::new(), Vec::new()];
        for _ in 0..calls {
            for which in self.order {
                std::thread::sleep(PAUSE);
                times_us[which].push(micros(clients[which].execute(workloads[which])?));
            }
        }
        Ok(times_us.map(|times_us| median(&times_us)))
    }

    /// CPU time and page faults per execution. The two services are measured one after the other,
    /// because the figures are those of whole processes.
    fn costs(&self, workloads: [&Workload; 2], executions: usize) -> Result<[(Duration, f64); 2]> {
        let mut clients = self.clients();
        let mut costs = [(Duration::ZERO, 0.0); 2];
        for which in self.order {
            let pid = self.services[which].pid();
            costs[which] = of_service(pid, &mut clients[which], workloads[which], executions)?;
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
