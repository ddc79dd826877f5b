//! Prometheus' text format, for metrics outside of the recorder: the recorder's counters are whole
//! numbers, and a value that is read at the moment of a scrape needs no recorder.

use crate::metrics::table;
use std::fmt::Write;

/// A page of metrics.
pub struct Exposition(String);

type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    /// Adds to this text.
    pub fn over(text: String) -> Self {
        Self(text)
    }

    /// Adds a metric without labels.
    pub fn add(&mut self, name: &str, value: f64) {
        self.labelled(name, &[(&[], value)]);
    }

    /// Adds a metric, once for each set of labels. Label values are words of the code, so none of
    /// them needs an escape. A name that is not in the table is left out; a test finds such names.
    pub fn labelled(&mut self, name: &str, samples: &[(Labels<'_>, f64)]) {
        let Some(metric) = table::find(name) else {
            return;
        };
        let (meaning, kind) = (metric.meaning, metric.kind.name());
        // Writing to a String can't fail.
        let _ = writeln!(self.0, "# HELP {name} {meaning}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let labels: Vec<String> = labels
                .iter()
                .map(|(label, value)| format!("{label}=\"{value}\""))
                .collect();
            let _ = match labels.join(",") {
                none if none.is_empty() => writeln!(self.0, "{name} {value}"),
                labels => writeln!(self.0, "{name}{{{labels}}} {value}"),
            };
        }
        self.0.push('\n');
    }

    /// The whole text.
    pub fn into_text(self) -> String {
        self.0
    }
}
