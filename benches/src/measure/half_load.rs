//! Time per execution at half of what a service can take: requests come at random moments, whether
//! or not earlier ones have their answers.

use super::{BenchPlan, Field, ORIGINAL, OURS, say};
use crate::contender::{Contender, Http};
use crate::results::{HalfLoad, Series, Throughput};
use crate::sampling::micros;
use crate::workload::{Suite, Workload};
use anyhow::{Context, Result, anyhow};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The time for each contender and workload, divided among the rounds.
const TIME: Duration = Duration::from_secs(10);
const ROUNDS: u64 = 4;

/// Clients that wait until a request is due. At half load only a few are busy at a time.
const CLIENTS: usize = 24;

/// Measures each workload whose throughput was measured. The contenders take turns.
pub fn measure(
    plan: &BenchPlan,
    field: &Field,
    suite: &Suite,
    throughput: &[Throughput],
) -> Result<Vec<HalfLoad>> {
    let mut names: Vec<&str> = throughput.iter().map(|run| run.workload.as_str()).collect();
    names.dedup();
    let mut all = Vec::new();
    for name in names {
        say(&format!("half load: {name}"));
        let workload = suite.workload(name)?;
        let mut services = vec![(OURS, field.ours.address(), Vec::new())];
        services.extend(
            field
                .original
                .as_ref()
                .map(|original| (ORIGINAL, original.address(), Vec::new())),
        );
        let half = |contender: &str| best(throughput, name, contender).map(|most| most / 2.0);
        for round in 0..ROUNDS {
            for (contender, address, times_us) in &mut services {
                let time = plan.time(TIME) / u32::try_from(ROUNDS)?;
                let due = arrivals(half(contender)?, time, round);
                times_us.extend(arrive(*address, workload, &due)?);
            }
        }
        for (contender, _, times_us) in services {
            all.push(HalfLoad {
                workload: name.to_owned(),
                contender: contender.to_owned(),
                per_second: half(contender)?,
                times: Series::new(name, contender, times_us),
            });
        }
    }
    Ok(all)
}

/// The most executions per second that the measurement of throughput has seen.
pub fn best(throughput: &[Throughput], workload: &str, contender: &str) -> Result<f64> {
    let runs = throughput
        .iter()
        .filter(|run| run.workload == workload && run.contender == contender);
    let most = runs.map(|run| run.per_second).max_by(f64::total_cmp);
    most.with_context(|| format!("no throughput of {contender}"))
}

/// The times at which requests are due: a Poisson process, the same for each seed.
fn arrivals(per_second: f64, time: Duration, seed: u64) -> Vec<Duration> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut due = Vec::new();
    let mut at = 0.0;
    loop {
        // A linear congruential generator, of which the upper bits are good enough here.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let uniform = ((state >> 11) as f64 + 1.0) / (1u64 << 53) as f64;
        at -= uniform.ln() / per_second;
        if at >= time.as_secs_f64() && !due.is_empty() {
            return due;
        }
        due.push(Duration::from_secs_f64(at));
    }
}

fn arrive(address: SocketAddr, workload: &Workload, due: &[Duration]) -> Result<Vec<u32>> {
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    let client = || -> Result<Vec<u32>> {
        let mut client = Http::new(address, false);
        let mut times_us = Vec::new();
        while let Some(due) = due.get(next.fetch_add(1, Ordering::Relaxed)) {
            // If no client was free, the request has waited since it was due, and that counts. If a
            // client only woke up late, it does not.
            let wait = due.saturating_sub(started.elapsed());
            std::thread::sleep(wait);
            let late = if wait.is_zero() {
                started.elapsed().saturating_sub(*due)
            } else {
                Duration::ZERO
            };
            times_us.push(micros(late + client.execute(workload)?));
        }
        Ok(times_us)
    };
    let times = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a client panicked"))?)
            .collect::<Result<Vec<_>>>()
    })?;
    Ok(times.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_as_many_as_asked_for_and_in_order() {
        let due = arrivals(1000.0, Duration::from_secs(10), 3);
        assert!((9_500..10_500).contains(&due.len()), "{}", due.len());
        assert!(due.is_sorted());
        assert_eq!(due, arrivals(1000.0, Duration::from_secs(10), 3));
    }
}
