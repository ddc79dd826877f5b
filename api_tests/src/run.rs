//! Runs probes, several at a time if that is wanted.

use crate::outcome::Outcome;
use crate::probe::{Group, Need, Probe};
use crate::probes::GROUPS;
use crate::target::Target;
use serde_json::{Map, Value, json};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const PRELUDE: &str = include_str!("python/prelude.py");

/// A probe, the name of its group, and its outcome.
#[derive(Debug)]
pub struct Finished {
    /// The probe.
    pub probe: &'static Probe,
    /// The name of its group.
    pub group: &'static str,
    /// Its outcome.
    pub outcome: Outcome,
    /// The figures of a victim beside it, if there was one.
    pub figures: Option<Value>,
    /// How long it took.
    pub took: Duration,
}

/// What probes learn.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Their global `decoy`, an object.
    pub decoy: Value,
    /// Their global `limits`, an object of numbers.
    pub limits: Map<String, Value>,
    /// Their global `scale`: how many times as much as usual a cost is.
    pub scale: f64,
}

/// `CODE_JAIL`'s limits, if an operator sets no others.
#[must_use]
pub fn default_limits() -> Map<String, Value> {
    let limits = json!({ "CPU": 1, "REALTIME": 1, "VMEM": 0, "FSIZE": 0, "NPROC": 15,
                         "SPACE": 0, "INODES": 0 });
    limits.as_object().cloned().unwrap_or_default()
}

/// A probe and its group.
pub type Chosen = (&'static Group, &'static Probe);

/// The probes whose name contains `part`, without those that are judged only beside a victim.
#[must_use]
pub fn choose(part: &str) -> Vec<Chosen> {
    let mut chosen = choose_with_costs(part);
    chosen.retain(|(_, probe)| !probe.is_cost());
    chosen
}

/// The probes whose name contains `part`.
#[must_use]
pub fn choose_with_costs(part: &str) -> Vec<Chosen> {
    let all = GROUPS
        .iter()
        .flat_map(|group| group.probes().map(move |probe| (group, probe)));
    all.filter(|(_, probe)| probe.name.contains(part)).collect()
}

/// Runs the probes, `jobs` at a time. Calls `done` for each in the order in which they end. The
/// result is in the order of `chosen`.
pub fn run_all(
    target: &dyn Target,
    chosen: &[Chosen],
    facts: &Facts,
    jobs: usize,
    mut done: impl FnMut(&Finished),
) -> Vec<Finished> {
    let next = AtomicUsize::new(0);
    let (sends, receives) = mpsc::channel();
    let all = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let (sends, next) = (sends.clone(), &next);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((group, probe)) = chosen.get(index) else {
                        break;
                    };
                    let finished = run(target, group, probe, facts);
                    // The receiver lives until all senders are gone.
                    let _ = sends.send((index, finished));
                }
            });
        }
        drop(sends);
        for (index, finished) in receives {
            done(&finished);
            all.lock()
                .unwrap_or_else(|e| e.into_inner())
                .push((index, finished));
        }
    });
    let mut all = all.into_inner().unwrap_or_else(|e| e.into_inner());
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, finished)| finished).collect()
}

fn run(
    target: &dyn Target,
    group: &'static Group,
    probe: &'static Probe,
    facts: &Facts,
) -> Finished {
    let started = Instant::now();
    let outcome = match missing(probe, facts) {
        Some(missing) => Outcome::Skipped(missing),
        None => attempt(target, probe, facts),
    };
    Finished {
        probe,
        group: group.name,
        outcome,
        figures: None,
        took: started.elapsed(),
    }
}

/// Runs a probe whose needs are met.
pub(crate) fn attempt(target: &dyn Target, probe: &Probe, facts: &Facts) -> Outcome {
    let globals = json!({ "decoy": facts.decoy, "limits": facts.limits, "scale": facts.scale,
                          "kept": null });
    // Code that must work is run as an author writes it.
    let prelude = if probe.is_attack() { PRELUDE } else { "" };
    let answers = match target.run_plan(probe.plan, prelude, &globals) {
        Ok(answers) => answers,
        Err(error) => return Outcome::Broken(format!("{error:#}")),
    };
    for need in probe.needs {
        if let Need::Module(name) = need {
            let lacks = format!("No module named \\'{name}\\'");
            let lacks = |answer: &crate::target::ProbeReply| {
                answer.emsg().is_some_and(|emsg| emsg.contains(&lacks))
            };
            if answers.iter().any(lacks) {
                return Outcome::Skipped(format!("the sandbox's Python has no {name}"));
            }
        }
    }
    Outcome::of(probe, &answers)
}

/// What a probe needs and this run lacks.
pub(crate) fn missing(probe: &Probe, facts: &Facts) -> Option<String> {
    probe.needs.iter().find_map(|need| match need {
        Need::Decoy(name) if facts.decoy[*name].is_null() => Some(format!(
            "no decoy {name:?}: codejail-api-tests decoys sets it up"
        )),
        Need::Limit(name) if facts.limits.get(*name).and_then(Value::as_f64) == Some(0.0) => Some(
            format!("the service has no limit {name}: --limit says it has"),
        ),
        Need::Decoy(_) | Need::Limit(_) | Need::Module(_) => None,
    })
}
