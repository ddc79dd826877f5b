//! The time from start to healthy. A deployment waits for it, and it shows the cost of a worker
//! that is replaced.

use super::preload::PRELOADS;
use super::{BenchPlan, ORIGINAL, say};
use crate::results::{Series, Start};
use crate::sampling::micros;
use anyhow::Result;
use codejail_harness::processes::usage;

/// Starts of each contender.
const STARTS: usize = 5;

/// Starts each contender several times, in turn.
pub fn measure(plan: &BenchPlan) -> Result<Vec<Start>> {
    let mut all: Vec<(String, Vec<u32>, Vec<u32>)> = Vec::new();
    let names = PRELOADS.iter().map(|(name, _)| format!("{name} preloaded"));
    all.extend(names.map(|name| (name, Vec::new(), Vec::new())));
    all.push((ORIGINAL.to_owned(), Vec::new(), Vec::new()));
    for _ in 0..plan.count(STARTS) {
        say("start");
        for ((_, overrides), (_, times, cpu)) in PRELOADS.iter().zip(&mut all) {
            let service = plan.ours(overrides)?;
            times.push(micros(service.warm_up));
            cpu.push(micros(usage(service.pid()).cpu));
            service.stop()?;
        }
        if let (Some(original), Some((_, times, cpu))) = (plan.original()?, all.last_mut()) {
            times.push(micros(original.warm_up));
            cpu.push(micros(usage(original.pid()).cpu));
            original.stop()?;
        }
    }
    all.retain(|(_, times, _)| !times.is_empty());
    let start = |(contender, times, cpu): (String, Vec<u32>, Vec<u32>)| Start {
        times: Series::new("start", &contender, times),
        contender,
        cpu_us: f64::from(crate::sampling::median(&cpu)),
    };
    Ok(all.into_iter().map(start).collect())
}
