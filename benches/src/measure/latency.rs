//! Time per execution with one client. The contenders take turns, round by round. So other load of
//! the machine hits all of them alike.

use super::{BenchPlan, Entrant, Field, say};
use crate::results::Series;
use crate::sampling::micros;
use crate::workload::{Suite, Workload};
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// The time for each workload. It is enough for the p99 of the quick contenders.
const TIME: Duration = Duration::from_secs(24);

/// Rounds that are made even if they take longer than [`TIME`]: a median needs some values.
const ROUNDS_MIN: usize = 3;

/// A turn gets at most the whole time divided by this. Otherwise a slow contender would take all.
const TURNS: u32 = 40;

/// Measures each workload.
pub fn measure(plan: &BenchPlan, field: &mut Field, suite: &Suite) -> Result<Vec<Series>> {
    let mut all = Vec::new();
    for workload in &suite.workloads {
        say(&format!("latency: {}", workload.name));
        all.extend(in_turn(field.entrants(), workload, plan.time(TIME))?);
    }
    Ok(all)
}

/// Asks all contenders in turn until this time is over. The first answer of each contender is not
/// counted, since it includes work that is done only once.
pub fn in_turn(
    mut entrants: Vec<Entrant<'_>>,
    workload: &Workload,
    time: Duration,
) -> Result<Vec<Series>> {
    for entrant in &mut entrants {
        entrant
            .contender
            .execute(workload)
            .with_context(|| entrant.name.clone())?;
    }
    let deadline = Instant::now() + time;
    let mut rounds = 0;
    while rounds < ROUNDS_MIN || Instant::now() < deadline {
        for entrant in &mut entrants {
            turn(entrant, workload, time / TURNS).with_context(|| entrant.name.clone())?;
        }
        rounds += 1;
    }
    let series =
        |entrant: Entrant<'_>| Series::new(&workload.name, &entrant.name, entrant.times_us);
    Ok(entrants.into_iter().map(series).collect())
}

/// One contender's calls of a round. It ends early after `time`, but makes at least one call.
fn turn(entrant: &mut Entrant<'_>, workload: &Workload, time: Duration) -> Result<()> {
    let deadline = Instant::now() + time;
    for _ in 0..entrant.calls_per_round {
        std::thread::sleep(entrant.pause);
        let elapsed = entrant.contender.execute(workload)?;
        entrant.times_us.push(micros(elapsed));
        if Instant::now() >= deadline {
            break;
        }
    }
    Ok(())
}
