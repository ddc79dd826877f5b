//! Decides whether an attack costs others more than the processor time that its limits give it.

use super::watch::{Samples, Seen};
use serde_json::{Value, json};
use std::time::Duration;

/// How many times as long an answer may take as beside runs that only compute.
const TIMES_MAX: f64 = 1.5;
/// A delay that is always allowed: two time slices of the scheduler. The process that has the core
/// delays the next one at random.
const SLACK: Duration = Duration::from_millis(6);

/// The measurements of one attack.
#[derive(Debug)]
pub struct Measured {
    /// Shortly before the attack.
    pub quiet: Seen,
    /// Beside the reference, the same number of runs of `while True: pass`, and shortly after.
    pub reference: Seen,
    /// Beside the attack, and shortly after.
    pub attack: Seen,
    /// Two seconds after the attack.
    pub after: Seen,
    /// Workers that were given up meanwhile.
    pub workers_lost: u64,
}

impl Measured {
    /// Measurements that are all the same as this one.
    #[must_use]
    pub fn all_as(quiet: &Seen) -> Self {
        Self {
            quiet: quiet.clone(),
            reference: quiet.clone(),
            attack: quiet.clone(),
            after: quiet.clone(),
            workers_lost: 0,
        }
    }

    /// Failures that no second measurement changes: a wrong answer, a worker that is gone.
    #[must_use]
    pub fn done(&self) -> Vec<String> {
        let mut harm = Vec::new();
        if self.workers_lost > 0 {
            harm.push(format!("{} workers were lost", self.workers_lost));
        }
        for (when, seen) in [
            ("beside it", &self.attack),
            ("two seconds after it", &self.after),
        ] {
            for (who, samples) in both(seen) {
                let Samples {
                    answers,
                    wrong,
                    shown,
                    ..
                } = samples;
                if let Some(first) = shown.first() {
                    harm.push(format!(
                        "{wrong} of {answers} answers to {who} were not right {when}: {first}"
                    ));
                }
            }
        }
        harm
    }

    /// The p99s that took longer than they may.
    #[must_use]
    pub fn delays(&self) -> Vec<String> {
        let pairs = [
            (
                "beside it",
                &self.attack,
                "beside runs that compute",
                &self.reference,
            ),
            ("two seconds after it", &self.after, "before", &self.quiet),
        ];
        let mut delays = Vec::new();
        for (when, seen, than, base) in pairs {
            for ((who, samples), (_, base)) in both(seen).into_iter().zip(both(base)) {
                let (took, may) = (samples.percentile(99), base.percentile(99));
                if took > may.mul_f64(TIMES_MAX).max(may + SLACK) {
                    delays.push(format!(
                        "p99 of {who} {when}: {} ms, {than}: {} ms",
                        ms(took),
                        ms(may)
                    ));
                }
            }
        }
        delays
    }

    /// The worst p99, as a multiple of what it may be: below 1 there is no excess.
    #[must_use]
    pub fn worst(&self) -> f64 {
        let ratio = |samples: &Samples, base: &Samples| {
            let may = base.percentile(99);
            let may = may.mul_f64(TIMES_MAX).max(may + SLACK);
            samples.percentile(99).as_secs_f64() / may.as_secs_f64()
        };
        let pairs = [(&self.attack, &self.reference), (&self.after, &self.quiet)];
        pairs
            .into_iter()
            .flat_map(|(seen, base)| {
                [
                    ratio(&seen.victim, &base.victim),
                    ratio(&seen.livez, &base.livez),
                ]
            })
            .fold(0.0, f64::max)
    }

    /// The figures in one line.
    #[must_use]
    pub fn described(&self) -> String {
        let figures = |part: fn(&Seen) -> &Samples| {
            let phases = [&self.attack, &self.reference, &self.quiet, &self.after];
            let [attack, reference, quiet, after] =
                phases.map(|seen| ms(part(seen).percentile(99)));
            format!(
                "{attack} ms beside it, {reference} beside a loop, {quiet} in quiet, {after} after"
            )
        };
        format!(
            "p99 of the victim {}; of /livez {}",
            figures(|seen| &seen.victim),
            figures(|seen| &seen.livez)
        )
    }

    /// The figures for machines, with times in milliseconds.
    #[must_use]
    pub fn json(&self) -> Value {
        let samples = |samples: &Samples| {
            json!({
                "answers": samples.answers,
                "wrong": samples.wrong,
                "p50_ms": samples.percentile(50).as_secs_f64() * 1e3,
                "p99_ms": samples.percentile(99).as_secs_f64() * 1e3,
            })
        };
        let seen = |seen: &Seen| {
            json!({
                "victim": samples(&seen.victim),
                "livez": samples(&seen.livez),
            })
        };
        json!({
            "quiet": seen(&self.quiet),
            "reference": seen(&self.reference),
            "attack": seen(&self.attack),
            "after": seen(&self.after),
            "workers_lost": self.workers_lost,
        })
    }
}

fn both(seen: &Seen) -> [(&'static str, &Samples); 2] {
    [("the victim", &seen.victim), ("/livez", &seen.livez)]
}

fn ms(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(victim_ms: u64, livez_ms: u64) -> Seen {
        let of = |ms: u64| Samples {
            micros: vec![ms * 1000; 100],
            answers: 100,
            ..Samples::default()
        };
        Seen {
            victim: of(victim_ms),
            livez: of(livez_ms),
        }
    }

    fn measured(attack: Seen, after: Seen) -> Measured {
        Measured {
            quiet: seen(10, 1),
            reference: seen(20, 2),
            attack,
            after,
            workers_lost: 0,
        }
    }

    #[test]
    fn half_as_long_again_as_beside_a_loop_is_too_long() {
        assert!(measured(seen(30, 8), seen(16, 7)).delays().is_empty());
        assert!(measured(seen(30, 8), seen(16, 7)).worst() <= 1.0);
        for (attack, after, part) in [
            (
                seen(31, 8),
                seen(16, 7),
                "the victim beside it: 31.0 ms, beside runs that compute: 20.0",
            ),
            (seen(30, 9), seen(16, 7), "/livez beside it"),
            (
                seen(30, 8),
                seen(17, 7),
                "the victim two seconds after it: 17.0 ms, before: 10.0",
            ),
            (seen(30, 8), seen(16, 8), "/livez two seconds after it"),
        ] {
            let measured = measured(attack, after);
            let delays = measured.delays();
            assert_eq!(delays.len(), 1, "{delays:?}");
            assert!(delays[0].contains(part), "{delays:?}");
            assert!(measured.worst() > 1.0);
        }
    }

    #[test]
    fn one_wrong_answer_or_lost_worker_is_harm() {
        let mut measured = measured(seen(20, 2), seen(10, 1));
        assert!(measured.done().is_empty());
        measured.workers_lost = 1;
        measured.after.victim.wrong = 1;
        measured.after.victim.shown.push("503: busy".to_owned());
        let harm = measured.done();
        assert_eq!(harm[0], "1 workers were lost");
        assert!(
            harm[1].contains(
                "1 of 100 answers to the victim were not right two seconds after it: 503"
            )
        );
    }
}
