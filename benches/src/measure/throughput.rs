//! Executions per second. Each client asks again as soon as it has its answer, on a new connection,
//! as the LMS does.

use super::{BenchPlan, Field, ORIGINAL, OURS, say};
use crate::contender::{Contender, Http};
use crate::results::{Series, Throughput};
use crate::sampling::micros;
use crate::workload::{Suite, Workload};
use anyhow::{Result, anyhow};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Numbers of clients.
const CLIENTS: [usize; 5] = [1, 2, 4, 8, 16];

/// The workloads: a trivial one, a course script, and one that computes.
const WORKLOADS: [&str; 3] = ["trivial", "numpy + scipy", "sympy"];

/// The time for each contender, workload and number of clients, divided among the rounds.
const TIME: Duration = Duration::from_secs(4);
const ROUNDS: u32 = 2;

/// Measures each number of clients. The contenders take turns.
pub fn measure(plan: &BenchPlan, field: &Field, suite: &Suite) -> Result<Vec<Throughput>> {
    let mut all = Vec::new();
    for name in WORKLOADS {
        let workload = suite.workload(name)?;
        for clients in CLIENTS {
            say(&format!("throughput: {name}, {clients} clients"));
            let mut services = vec![Runs::new(OURS, field.ours.address())];
            services.extend(
                field
                    .original
                    .as_ref()
                    .map(|original| Runs::new(ORIGINAL, original.address())),
            );
            for _ in 0..ROUNDS {
                for runs in &mut services {
                    runs.add(clients, workload, plan.time(TIME / ROUNDS))?;
                }
            }
            all.extend(services.into_iter().map(|runs| runs.result(name, clients)));
        }
    }
    Ok(all)
}

struct Runs {
    contender: &'static str,
    address: SocketAddr,
    took: Duration,
    times_us: Vec<u32>,
}

impl Runs {
    fn new(contender: &'static str, address: SocketAddr) -> Self {
        Self {
            contender,
            address,
            took: Duration::ZERO,
            times_us: Vec::new(),
        }
    }

    fn add(&mut self, clients: usize, workload: &Workload, time: Duration) -> Result<()> {
        let (took, times_us) = saturate(self.address, clients, workload, time)?;
        self.took += took;
        self.times_us.extend(times_us);
        Ok(())
    }

    fn result(self, workload: &str, clients: usize) -> Throughput {
        Throughput {
            workload: workload.to_owned(),
            contender: self.contender.to_owned(),
            clients,
            per_second: self.times_us.len() as f64 / self.took.as_secs_f64(),
            times: Series::new(workload, self.contender, self.times_us),
        }
    }
}

/// Keeps this number of clients busy. Returns when the last client has its answer, too. The result
/// says how long all of this took.
pub fn saturate(
    address: SocketAddr,
    clients: usize,
    workload: &Workload,
    time: Duration,
) -> Result<(Duration, Vec<u32>)> {
    let started = Instant::now();
    let client = || -> Result<Vec<u32>> {
        let mut client = Http::new(address, false);
        let mut times_us = Vec::new();
        while started.elapsed() < time {
            times_us.push(micros(client.execute(workload)?));
        }
        Ok(times_us)
    };
    let times = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a client panicked"))?)
            .collect::<Result<Vec<_>>>()
    })?;
    Ok((started.elapsed(), times.concat()))
}
