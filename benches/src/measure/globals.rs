//! How the time of an execution grows with the size of the globals.

use super::{BenchPlan, Field, say};
use crate::results::Series;
use crate::workload::Workload;
use anyhow::Result;
use serde_json::{Value, json};
use std::time::Duration;

/// Names and bytes of JSON.
const SIZES: [(&str, usize); 5] = [
    ("1 kB", 1_000),
    ("10 kB", 10_000),
    ("100 kB", 100_000),
    ("1 MB", 1_000_000),
    ("10 MB", 10_000_000),
];

/// The time for each size.
const TIME: Duration = Duration::from_secs(6);

/// Measures each size with all contenders.
pub fn measure(plan: &BenchPlan, field: &mut Field) -> Result<Vec<Series>> {
    let mut all = Vec::new();
    for (name, bytes) in SIZES {
        say(&format!("globals: {name}"));
        let (globals, rows) = globals(bytes);
        let workload = Workload::new(name, "x = len(data)", globals, json!({ "x": rows }))?;
        all.extend(super::latency::in_turn(
            field.entrants(),
            &workload,
            plan.time(TIME),
        )?);
    }
    Ok(all)
}

/// A table whose JSON has this size, and the number of its rows.
fn globals(bytes: usize) -> (Value, usize) {
    let row = json!([17, 0.25, "a text of some words", true, null]);
    let rows = bytes / (row.to_string().len() + 1);
    (json!({ "data": vec![row; rows] }), rows)
}
