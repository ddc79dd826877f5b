//! The outcomes of a run for machines: JSON, and JUnit's XML.

use crate::outcome::Outcome;
use crate::probe::{Probe, ProbeKind};
use crate::run::Finished;
use serde_json::{Value, json};
use std::fmt::Write;

/// Whether a probe has the right outcome.
pub type Passes = fn(&Probe, &Outcome) -> bool;

/// The JSON report: a list with an object for each probe.
#[must_use]
pub fn json(all: &[Finished], passes: Passes) -> String {
    let entries: Vec<Value> = all
        .iter()
        .map(|finished| {
            let probe = finished.probe;
            let reason = match probe.kind {
                ProbeKind::Surface(_, reason) | ProbeKind::Cost(reason) => Some(reason),
                ProbeKind::Harm(_) | ProbeKind::Works(_) => None,
            };
            json!({
                "name": probe.name,
                "group": finished.group,
                "shows": probe.shows,
                "kind": probe.kind_name(),
                "original": probe.original,
                "reason": reason,
                "outcome": finished.outcome.word(),
                "how": finished.outcome.how(),
                "passed": passes(probe, &finished.outcome),
                "victim": finished.figures,
                "seconds": finished.took.as_secs_f64(),
            })
        })
        .collect();
    format!("{:#}\n", Value::from(entries))
}

/// JUnit's XML, with a test suite for each group. Test runners write it, and CI systems read it.
#[must_use]
pub fn junit(all: &[Finished], passes: Passes) -> String {
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n".to_owned();
    for group in all.chunk_by(|a, b| a.group == b.group) {
        let failed = |f: &&Finished| !skipped(f) && !passes(f.probe, &f.outcome);
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">",
            group[0].group,
            group.len(),
            group.iter().filter(failed).count(),
            group.iter().filter(|finished| skipped(finished)).count(),
        );
        for finished in group {
            let (name, seconds) = (finished.probe.name, finished.took.as_secs_f64());
            let how = escaped(&format!(
                "{}: {}",
                finished.outcome.word(),
                finished.outcome.how()
            ));
            let inside = if skipped(finished) {
                format!("<skipped message=\"{how}\"/>")
            } else if passes(finished.probe, &finished.outcome) {
                String::new()
            } else {
                format!("<failure message=\"{how}\"/>")
            };
            let class = finished.group;
            let _ = writeln!(
                xml,
                "    <testcase classname=\"{class}\" name=\"{name}\" time=\"{seconds:.3}\">{inside}</testcase>"
            );
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn skipped(finished: &Finished) -> bool {
    matches!(finished.outcome, Outcome::Skipped(_))
}

/// The text as an attribute's value. Characters that XML 1.0 can't hold become U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sandbox_says_cannot_break_the_report() {
        assert_eq!(
            escaped("<a b=\"&\0\n\">"),
            "&lt;a b=&quot;&amp;\u{fffd}&#10;&quot;&gt;"
        );
    }
}
