//! Runs every probe against one target.

use codejail_api_tests::decoys::Decoys;
use codejail_api_tests::outcome::Outcome;
use codejail_api_tests::probe::Probe;
use codejail_api_tests::run::{self, Chosen, Facts, Finished};
use codejail_api_tests::target::Target;
use codejail_harness::root::say;
use serde_json::Value;
use std::time::Instant;

/// How many run at a time; the services have as many sandboxes.
const JOBS: usize = 4;

/// All probes that were run.
pub struct All(pub Vec<Finished>);

impl All {
    /// The probes that have a wrong outcome.
    pub fn unlike(&self, passes: fn(&Probe, &Outcome) -> bool) -> Vec<&Finished> {
        let failed = |f: &&Finished| !is_skipped(f) && !passes(f.probe, &f.outcome);
        self.0.iter().filter(failed).collect()
    }

    /// Prints the outcomes for the person who watches.
    pub fn summary(&self, passes: fn(&Probe, &Outcome) -> bool) -> String {
        let failed = self.unlike(passes).len();
        let skipped = self.0.iter().filter(|f| is_skipped(f)).count();
        let passed = self.0.len() - failed - skipped;
        format!("{passed} probes passed, {failed} failed, {skipped} skipped")
    }
}

/// Runs every probe.
pub fn run_all(target: &dyn Target, decoys: &Decoys, limits: &[(&str, u64)]) -> All {
    run_these(target, &run::choose(""), decoys, limits)
}

/// Runs some probes.
pub fn run_these(
    target: &dyn Target,
    chosen: &[Chosen],
    decoys: &Decoys,
    limits: &[(&str, u64)],
) -> All {
    run_scaled(target, chosen, decoys, limits, 1.0)
}

/// Runs some probes. Those that cost others something do `scale` times as much as usual.
pub fn run_scaled(
    target: &dyn Target,
    chosen: &[Chosen],
    decoys: &Decoys,
    limits: &[(&str, u64)],
    scale: f64,
) -> All {
    let mut known = run::default_limits();
    known.extend(
        limits
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(*value))),
    );
    let facts = Facts {
        decoy: decoys.facts().clone(),
        limits: known,
        scale,
    };
    let started = Instant::now();
    let all = run::run_all(target, chosen, &facts, JOBS, |_| ());
    say(&format!(
        "--- {} probes in {:.1} s\n",
        all.len(),
        started.elapsed().as_secs_f64()
    ));
    All(all)
}

pub fn is_skipped(finished: &Finished) -> bool {
    matches!(finished.outcome, Outcome::Skipped(_))
}

/// A line for each probe.
pub fn described(some: &[&Finished]) -> String {
    let lines = some.iter().map(|finished| {
        let (name, outcome) = (finished.probe.name, &finished.outcome);
        format!("{name}: {}: {}", outcome.word(), outcome.how())
    });
    lines.collect::<Vec<_>>().join("\n")
}
