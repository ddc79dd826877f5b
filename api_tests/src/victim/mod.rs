//! Attacks beside a victim: their cost for a client that does nothing wrong.
//!
//! A run may use the processor time that its limits give it, and nothing more. So each attack takes
//! turns with a reference: as many runs of `while True: pass` under the same limits.

pub mod judge;
pub mod watch;

use crate::client::Request as HttpRequest;
use crate::outcome::Outcome;
use crate::probe::{Probe, ProbePlan};
use crate::run::{self, Chosen, Facts, Finished};
use crate::target::{self, Request, Service, Target};
use anyhow::{Context, Result, ensure};
use judge::Measured;
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};
use watch::{Seen, watch};

/// How often an attack with slow answers is measured. A busy machine makes an answer slow now and
/// then, but never fast, so the best counts.
const TRIES: usize = 3;
/// After this time, nothing of an attack may be left.
const GONE: Duration = Duration::from_secs(2);
/// How long to wait until a service is as before, after an attack that cost others something.
const SETTLED_MAX: Duration = Duration::from_secs(60);
/// A run that computes as long as it may; half a minute if no limit ends it.
const LOOP: &str = "import time\nend = time.monotonic() + 30\nwhile time.monotonic() < end: pass\n";

/// How attacks are made.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The loops run one after the other for at least so long. As many attacks are made in the same
    /// time.
    pub phase: Duration,
    /// How many attacks, or loops, run at a time.
    pub attackers: u16,
}

/// A service to attack, and how it was before.
#[derive(Debug)]
pub struct Attacked<'a> {
    service: &'a Service,
    facts: &'a Facts,
    settings: Settings,
    quiet: Seen,
}

impl<'a> Attacked<'a> {
    /// Measures the service in quiet.
    ///
    /// # Errors
    /// The victim's answers are wrong even in quiet.
    pub fn new(service: &'a Service, facts: &'a Facts, settings: Settings) -> Result<Self> {
        // The first answers of a client warm up both sides.
        watch(service, || thread::sleep(settings.phase / 4));
        let ((), quiet) = watch(service, || thread::sleep(settings.phase));
        let wrong = quiet.victim.shown.iter().chain(&quiet.livez.shown).next();
        ensure!(
            wrong.is_none(),
            "the victim in quiet: {}",
            wrong.map_or("", |wrong| wrong)
        );
        Ok(Self {
            service,
            facts,
            settings,
            quiet,
        })
    }

    /// Runs the attacks one after the other, and calls `done` for each.
    pub fn run_all(&self, chosen: &[Chosen], mut done: impl FnMut(&Finished)) -> Vec<Finished> {
        let run = |(group, probe): &Chosen| {
            let started = Instant::now();
            let (outcome, measured) = match run::missing(probe, self.facts) {
                Some(missing) => (Outcome::Skipped(missing), None),
                None => match self.attack(probe) {
                    Ok((outcome, measured)) => (outcome, Some(measured)),
                    Err(error) => (Outcome::Broken(format!("{error:#}")), None),
                },
            };
            let finished = Finished {
                probe,
                group: group.name,
                outcome,
                figures: measured.map(|measured| measured.json()),
                took: started.elapsed(),
            };
            done(&finished);
            if matches!(finished.outcome, Outcome::Succeeded(_)) {
                self.settle();
            }
            finished
        };
        chosen.iter().map(run).collect()
    }

    fn attack(&self, probe: &Probe) -> Result<(Outcome, Measured)> {
        let (mut own, mut best) = self.measure(probe)?;
        for _ in 1..TRIES {
            if !best.done().is_empty() || best.delays().is_empty() {
                break;
            }
            // Otherwise the rest of this attack would make the quiet before the next one slow, and
            // nothing after it slower.
            self.settle();
            let (again, measured) = self.measure(probe)?;
            if !measured.done().is_empty() || measured.worst() < best.worst() {
                (own, best) = (again, measured);
            }
        }
        let harm = [best.done(), best.delays()].concat();
        let itself = format!("the attack itself: {}, {}", own.word(), own.how());
        let outcome = if !harm.is_empty() {
            Outcome::Succeeded(format!("{}; {itself}", harm.join("; ")))
        } else if probe.is_cost() || matches!(own, Outcome::Denied(_)) {
            Outcome::Denied(format!("{}; {itself}", best.described()))
        } else {
            own
        };
        Ok((outcome, best))
    }

    /// Measures quiet, the reference and the attack in turn. Returns also the outcome of the attack
    /// itself.
    fn measure(&self, probe: &Probe) -> Result<(Outcome, Measured)> {
        let runs = match probe.plan {
            ProbePlan::Beside { .. } => 2,
            _ => 1,
        };
        let lost_before = self.workers_lost()?;
        let ((), quiet) = watch(self.service, || thread::sleep(self.settings.phase / 2));
        let (each, reference) = self.reference(probe, runs * self.settings.attackers)?;
        let (outcomes, attack) = self.attacks(probe, each);
        thread::sleep(GONE.saturating_sub(self.tail()));
        let ((), after) = watch(self.service, || thread::sleep(self.settings.phase / 2));
        let worst = |outcome: &Outcome| match outcome {
            Outcome::Denied(_) => 0,
            Outcome::Skipped(_) => 1,
            Outcome::Succeeded(_) => 2,
            Outcome::Broken(_) => 3,
        };
        let own = outcomes.into_iter().max_by_key(worst);
        let measured = Measured {
            quiet,
            reference,
            attack,
            after,
            workers_lost: self.workers_lost()?.saturating_sub(lost_before),
        };
        Ok((own.context("nobody attacked")?, measured))
    }

    /// Waits until the service is as before, for a minute at most: the rest of one attack must not
    /// count for the next. If the service is not as before by then, the figures of the next attack
    /// show it.
    fn settle(&self) {
        let started = Instant::now();
        while started.elapsed() < SETTLED_MAX {
            let ((), now) = watch(self.service, || thread::sleep(self.settings.phase / 2));
            let measured = Measured {
                after: now,
                ..Measured::all_as(&self.quiet)
            };
            if measured.done().is_empty() && measured.delays().is_empty() {
                break;
            }
        }
    }

    /// How long to watch after the last answer to an attack: its process may end later.
    fn tail(&self) -> Duration {
        (self.settings.phase / 2).min(GONE)
    }

    /// Runs `at_a_time` loops at a time, one after the other for the time of a phase. Returns how
    /// many each was, and what was seen.
    fn reference(&self, probe: &Probe, at_a_time: u16) -> Result<(u32, Seen)> {
        let (phase, started) = (self.settings.phase, Instant::now());
        let loops = || -> Result<u32> {
            let mut runs = 0;
            while runs == 0 || started.elapsed() < phase {
                // However it ends, it has used what it may.
                self.compute(probe)?;
                runs += 1;
            }
            Ok(runs)
        };
        let (counts, seen) = self.beside(at_a_time, loops);
        let counts = counts.into_iter().collect::<Result<Vec<u32>>>()?;
        Ok((counts.into_iter().max().unwrap_or(1), seen))
    }

    /// Each attacker makes so many attacks, evenly over the phase.
    fn attacks(&self, probe: &Probe, each: u32) -> (Vec<Outcome>, Seen) {
        let (phase, started) = (self.settings.phase, Instant::now());
        let (outcomes, seen) = self.beside(self.settings.attackers, || {
            let attack = |number| {
                let due = phase * number / each;
                thread::sleep(due.saturating_sub(started.elapsed()));
                run::attempt(self.service, probe, self.facts)
            };
            let outcomes: Vec<Outcome> = (0..each).map(attack).collect();
            thread::sleep(phase.saturating_sub(started.elapsed()));
            outcomes
        });
        (outcomes.into_iter().flatten().collect(), seen)
    }

    /// So many threads do `work` at a time. Watches until shortly after.
    fn beside<T: Send>(&self, at_a_time: u16, work: impl Fn() -> T + Sync) -> (Vec<T>, Seen) {
        watch(self.service, || {
            let all = thread::scope(|scope| {
                let workers: Vec<_> = (0..at_a_time).map(|_| scope.spawn(&work)).collect();
                let join = |worker: thread::ScopedJoinHandle<'_, T>| {
                    worker
                        .join()
                        .unwrap_or_else(|e| std::panic::resume_unwind(e))
                };
                workers.into_iter().map(join).collect()
            });
            thread::sleep(self.tail());
            all
        })
    }

    /// One loop. If an attack consists of loading its globals, the loop has as many bytes of
    /// globals, which load at once: the client pays for sending and reading a body, and no run
    /// does.
    fn compute(&self, probe: &Probe) -> Result<()> {
        let text = match probe.plan {
            ProbePlan::Loaded { integers, .. } => {
                target::integers_text(f64::from(integers) * self.facts.scale)
            }
            _ => String::new(),
        };
        self.service.run(&[Request {
            code: LOOP.to_owned(),
            globals: json!({ "text": text }),
            globals_text: None,
            python_path: json!([]),
            file: None,
        }])?;
        Ok(())
    }

    /// From the service's metrics; 0 if it has none.
    fn workers_lost(&self) -> Result<u64> {
        let (_, text) = self.service.client().ask(&HttpRequest::get("/metrics"))?;
        let lines = text
            .lines()
            .filter(|line| line.starts_with("codejail_worker_failures_total"));
        let numbers = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        Ok(numbers.sum::<f64>() as u64)
    }
}
