//! Makes cells and tables in Markdown, and finds the values for them.

use crate::results::Series;

/// The names of the workloads, in the order in which they were measured.
pub fn names(all: &[Series]) -> Vec<String> {
    let mut names: Vec<String> = all.iter().map(|series| series.workload.clone()).collect();
    names.dedup();
    names
}

/// The series of a contender with a workload.
pub fn find<'a>(all: &'a [Series], workload: &str, contender: &str) -> Option<&'a Series> {
    all.iter()
        .find(|series| series.workload == workload && series.contender == contender)
}

/// Three digits: the figures are not more precise.
pub fn cell(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

/// A value divided by the base.
pub fn ratio(value: Option<f64>, base: Option<f64>) -> String {
    cell(value.zip(base).map(|(value, base)| value / base))
}

/// A table, or an empty text if there are no rows.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head.to_vec());
    text += &line(vec!["---"; head.len()]);
    for row in rows {
        text += &line(row.iter().map(String::as_str).collect());
    }
    text
}
