//! The outcome of a probe: denied, succeeded, or broken, which never counts as denied.

use crate::comparable::comparable;
use crate::probe::{Denial, Expected, Probe, ProbeKind, ProbePlan};
use crate::target::ProbeReply;
use serde_json::Value;

/// The outcome of a probe, each with the fact that shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A layer stopped the probe.
    Denied(String),
    /// The probe did what it was meant to do.
    Succeeded(String),
    /// The probe failed for another reason, and shows nothing.
    Broken(String),
    /// The probe was not run, or can show nothing there.
    Skipped(String),
}

impl Outcome {
    /// The outcome in one word, for reports.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Denied(_) => "denied",
            Self::Succeeded(_) => "succeeded",
            Self::Broken(_) => "broken",
            Self::Skipped(_) => "skipped",
        }
    }

    /// The fact that shows the outcome.
    #[must_use]
    pub fn how(&self) -> &str {
        match self {
            Self::Denied(how) | Self::Succeeded(how) | Self::Broken(how) | Self::Skipped(how) => {
                how
            }
        }
    }

    /// Whether a probe of this kind must have this outcome.
    #[must_use]
    pub const fn passes(&self, kind: ProbeKind) -> bool {
        match self {
            Self::Denied(_) => kind.is_attack(),
            Self::Succeeded(_) => !kind.is_attack(),
            Self::Broken(_) | Self::Skipped(_) => false,
        }
    }

    /// The outcome, from the answers to a probe's executions in their order.
    #[must_use]
    pub fn of(probe: &Probe, answers: &[ProbeReply]) -> Self {
        match (probe.kind, answers) {
            (_, []) => Self::Broken("no execution was answered".to_owned()),
            (ProbeKind::Works(expected), [.., last]) => worked(expected, last),
            (ProbeKind::Harm(denial) | ProbeKind::Surface(denial, _), answers) => {
                planned(probe.plan, denial, answers)
            }
            (ProbeKind::Cost(_), answers) => planned(probe.plan, Denial::Reported, answers),
        }
    }
}

fn planned(plan: ProbePlan, denial: Denial, answers: &[ProbeReply]) -> Outcome {
    match plan {
        ProbePlan::Planted { .. } => planted(denial, answers),
        ProbePlan::Left { .. } => left(denial, answers),
        ProbePlan::Beside { .. } => beside(denial, answers),
        ProbePlan::Once(_) | ProbePlan::Asked(_) | ProbePlan::Loaded { .. } => {
            attacked(denial, &answers[0])
        }
    }
}

fn worked(expected: Expected, answer: &ProbeReply) -> Outcome {
    match (expected, answer.emsg(), answer.x()) {
        (Expected::X(wanted), None, Some(x))
            if serde_json::from_str(wanted).ok() == Some(x.clone()) =>
        {
            Outcome::Succeeded(format!("x = {}", shortened(wanted)))
        }
        (Expected::Error(part), Some(emsg), _) if emsg.contains(part) => {
            Outcome::Succeeded(shortened(part))
        }
        (
            Expected::Answer {
                globals,
                emsg: wanted,
            },
            emsg,
            _,
        ) if answer.status == 200
            && serde_json::from_str(globals).ok().as_ref() == answer.globals()
            && emsg.map(comparable).as_deref() == wanted =>
        {
            Outcome::Succeeded(shortened(wanted.unwrap_or(globals)))
        }
        (Expected::Refused(status, error), ..)
            if answer.status == status && answer.error() == Some(error) =>
        {
            Outcome::Succeeded(format!("{status}: {error}"))
        }
        (expected, ..) => {
            let found = format!("expected {expected:?}, got {}", answer.shortened());
            if found.contains("PermissionError") || found.contains("BlockingIOError") {
                Outcome::Denied(found)
            } else {
                Outcome::Broken(found)
            }
        }
    }
}

fn attacked(denial: Denial, answer: &ProbeReply) -> Outcome {
    match (denial, answer.report()) {
        (Denial::AnswerBytesMax(bytes_max), _) => {
            let bytes = answer.body.len();
            match answer.status {
                200 if bytes <= bytes_max => Outcome::Denied(format!("an answer of {bytes} bytes")),
                200 => Outcome::Succeeded(format!("an answer of {bytes} bytes")),
                _ => Outcome::Broken(answer.shortened()),
            }
        }
        (_, Some(report)) => report,
        (Denial::Ended(statuses), None) => match answer.exit_status() {
            Some(status) if statuses.contains(&status) => {
                Outcome::Denied(format!("the run was ended with status {status}"))
            }
            _ => Outcome::Broken(answer.shortened()),
        },
        (Denial::Reported, None) => Outcome::Broken(answer.shortened()),
    }
}

/// If one look finds the plant, the attack has succeeded. If one look is broken, so is the probe.
fn planted(denial: Denial, answers: &[ProbeReply]) -> Outcome {
    let (plant, looks) = (&answers[0], &answers[1..]);
    let outcomes: Vec<Outcome> = looks.iter().map(|look| attacked(denial, look)).collect();
    let worst = |outcome: &Outcome| match outcome {
        Outcome::Succeeded(_) => 3,
        Outcome::Broken(_) => 2,
        Outcome::Skipped(_) => 1,
        Outcome::Denied(_) => 0,
    };
    not_planted(plant)
        .or_else(|| outcomes.into_iter().max_by_key(worst))
        .unwrap_or_else(nothing_looked_for)
}

/// The last look decides whether the plant is gone.
fn left(denial: Denial, answers: &[ProbeReply]) -> Outcome {
    let (plant, looks) = (&answers[0], &answers[1..]);
    not_planted(plant)
        .or_else(|| looks.last().map(|look| attacked(denial, look)))
        .unwrap_or_else(nothing_looked_for)
}

fn nothing_looked_for() -> Outcome {
    Outcome::Broken("nothing was looked for".to_owned())
}

/// The outcome for a plant that was not found. The run that planted it may report nothing, but must
/// come to its end.
fn not_planted(plant: &ProbeReply) -> Option<Outcome> {
    match plant.report() {
        Some(Outcome::Succeeded(_)) => None,
        Some(other) => Some(other),
        None if plant.emsg().is_none() && plant.status == 200 => None,
        None => Some(Outcome::Broken(format!("planting: {}", plant.shortened()))),
    }
}

/// If the victim was not there, the attack shows nothing.
fn beside(denial: Denial, answers: &[ProbeReply]) -> Outcome {
    match answers {
        [victim, attack] if victim.emsg().is_none() && victim.status == 200 => {
            attacked(denial, attack)
        }
        [victim, ..] => Outcome::Broken(format!("the victim: {}", victim.shortened())),
        [] => Outcome::Broken("no execution was answered".to_owned()),
    }
}

impl ProbeReply {
    /// The report of the code in `x`, if there is one.
    fn report(&self) -> Option<Outcome> {
        let x = self.x()?;
        let [word, how] = x.as_array()?.as_slice() else {
            return None;
        };
        let how = how.as_str()?.to_owned();
        match word.as_str()? {
            "denied" => Some(Outcome::Denied(how)),
            "succeeded" => Some(Outcome::Succeeded(how)),
            "skipped" => Some(Outcome::Skipped(how)),
            "broken" => Some(Outcome::Broken(how)),
            _ => None,
        }
    }

    /// The error of a refused request.
    fn error(&self) -> Option<&str> {
        self.parsed().get("error")?.as_str()
    }

    fn x(&self) -> Option<&Value> {
        self.globals()?.get("x")
    }

    /// The exit status in the error of a failed run.
    fn exit_status(&self) -> Option<i32> {
        let (_, status) = self.emsg()?.rsplit_once("with status code: ")?;
        status.trim().parse().ok()
    }

    fn shortened(&self) -> String {
        let text = self.emsg().unwrap_or(&self.body);
        format!("{}: {}", self.status, shortened(text))
    }
}

/// The end of a text: there a traceback says what happened.
fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 300;
    let from = text.char_indices().rev().nth(CHARS_MAX - 1);
    match from {
        Some((at, _)) if at > 0 => format!("...{}", &text[at..]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> ProbeReply {
        ProbeReply::new(200, body.to_owned())
    }

    fn denied(denial: Denial, body: &str) -> Outcome {
        attacked(denial, &answer(body))
    }

    #[test]
    fn only_a_report_or_the_expected_end_counts_as_denied() {
        let report = r#"{"globals_dict": {"x": ["denied", "EACCES"]}}"#;
        assert_eq!(
            denied(Denial::Reported, report),
            Outcome::Denied("EACCES".to_owned())
        );
        let crash = r#"{"globals_dict": {}, "emsg": "stderr: b'' with status code: -11"}"#;
        assert_eq!(denied(Denial::Reported, crash).word(), "broken");
        assert_eq!(denied(Denial::Ended(&[-9]), crash).word(), "broken");
        assert_eq!(denied(Denial::Ended(&[-9, -11]), crash).word(), "denied");
        for nothing in ["{}", "[]", "garbage", r#"{"globals_dict": {"x": 1}}"#] {
            assert_eq!(
                denied(Denial::Reported, nothing).word(),
                "broken",
                "{nothing}"
            );
        }
        let refused = ProbeReply::new(503, r#"{"error": "busy"}"#.to_owned());
        assert_eq!(
            attacked(Denial::AnswerBytesMax(99), &refused).word(),
            "broken"
        );
    }

    #[test]
    fn a_whole_answer_has_nothing_more_and_nothing_less() {
        let expected = Expected::Answer {
            globals: r#"{"a": 1}"#,
            emsg: Some("E"),
        };
        let word = |body: &str| worked(expected, &answer(body)).word();
        assert_eq!(
            word(r#"{"globals_dict": {"a": 1}, "emsg": "E"}"#),
            "succeeded"
        );
        for other in [
            r#"{"globals_dict": {"a": 1}}"#,
            r#"{"globals_dict": {"a": 1, "b": 2}, "emsg": "E"}"#,
            r#"{"globals_dict": {"a": 1}, "emsg": "E."}"#,
            r#"{"error": "E"}"#,
        ] {
            assert_eq!(word(other), "broken", "{other}");
        }
        let refused = ProbeReply::new(400, r#"{"error": "no"}"#.to_owned());
        assert_eq!(
            worked(Expected::Refused(400, "no"), &refused).word(),
            "succeeded"
        );
        assert_eq!(
            worked(Expected::Refused(400, "n"), &refused).word(),
            "broken"
        );
        assert_eq!(
            worked(Expected::Refused(401, "no"), &refused).word(),
            "broken"
        );
    }

    #[test]
    fn one_look_that_finds_is_enough_and_a_broken_one_spoils_what_is_denied() {
        let report = |word: &str| answer(&format!(r#"{{"globals_dict":{{"x":["{word}",""]}}}}"#));
        let plant = || answer(r#"{"globals_dict":{}}"#);
        let of = |looks: &[&str]| {
            let answers: Vec<ProbeReply> = std::iter::once(plant())
                .chain(looks.iter().map(|word| report(word)))
                .collect();
            planted(Denial::Reported, &answers).word()
        };
        assert_eq!(of(&["denied", "denied"]), "denied");
        assert_eq!(of(&["denied", "succeeded", "broken"]), "succeeded");
        assert_eq!(of(&["denied", "broken"]), "broken");
        assert_eq!(of(&[]), "broken");
        assert_eq!(
            planted(Denial::Reported, &[report("denied"), report("succeeded")]).word(),
            "denied"
        );
    }
}
