//! The table that README shows.

use super::cells::{cell, find, names, ratio, table};
use crate::measure::half_load::best;
use crate::measure::{BARE, LIMIT, ORIGINAL, OURS};
use crate::results::Results;
use anyhow::{Context, Result};

/// The table of README.md: the median of each workload, and how many times slower the original is.
pub fn short(results: &Results) -> String {
    let mut rows = Vec::new();
    for workload in names(&results.latency) {
        let ms =
            |contender| find(&results.latency, &workload, contender).map(|series| series.ms(50.0));
        let per_second = |contender| best(&results.throughput, &workload, contender).ok();
        rows.push(vec![
            workload.clone(),
            cell(ms(OURS)),
            cell(ms(ORIGINAL)),
            ratio(ms(ORIGINAL), ms(OURS)),
            cell(ms(BARE)),
            cell(ms(LIMIT)),
            cell(per_second(OURS)),
            cell(per_second(ORIGINAL)),
        ]);
    }
    let head = [
        "p50, ms",
        "codejail",
        "original",
        "original ÷ codejail",
        "bare Python",
        "limit",
        "codejail, per second",
        "original, per second",
    ];
    let machine = &results.machine;
    format!(
        "{} × {}, Linux {}, {}, {}.\n\n{}",
        machine.cores,
        machine.processor,
        machine.kernel,
        machine.python,
        machine.date,
        table(&head, &rows)
    )
}

/// `text`, with this table between its marks.
///
/// # Errors
/// The text has no marks.
pub fn insert(text: &str, table: &str) -> Result<String> {
    const MARKS: [&str; 2] = ["<!-- bench -->", "<!-- /bench -->"];
    let (before, rest) = text.split_once(MARKS[0]).context(MARKS[0])?;
    let (_, after) = rest.split_once(MARKS[1]).context(MARKS[1])?;
    Ok(format!("{before}{}\n{table}{}{after}", MARKS[0], MARKS[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_the_marks_is_replaced_and_nothing_else() {
        let text = "a\n<!-- bench -->\nold\n<!-- /bench -->\nb\n";
        let new = "a\n<!-- bench -->\nnew\n<!-- /bench -->\nb\n";
        assert_eq!(insert(text, "new\n").unwrap(), new);
        assert!(insert("no marks", "new").is_err());
    }
}
