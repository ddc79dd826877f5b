//! The results as Markdown tables.

mod cells;
mod short;

pub use short::{insert, short};

use crate::measure::{BARE, BEFORE, LIMIT, ORIGINAL, OURS, OURS_KEPT};
use crate::results::{Results, Series};
use cells::{cell, find, names, ratio, table};
use std::fmt::Write;

const CONTENDERS: [&str; 6] = [OURS, OURS_KEPT, BEFORE, ORIGINAL, BARE, LIMIT];

/// All tables of what was measured.
pub fn markdown(results: &Results) -> String {
    let mut text = heading(results);
    let sections: [(&str, String); 11] = [
        ("Targets", targets(results)),
        (
            "Beside an earlier build, or on other Pythons",
            before(results),
        ),
        ("One client", latency(results)),
        ("Executions per second", throughput(results)),
        ("At half load", half_load(results)),
        ("CPU and page faults per execution", cost(results)),
        ("By what is preloaded", preload(results)),
        ("By the size of the globals", globals(results)),
        ("Memory", memory(results)),
        ("From start to the first answer", start(results)),
        ("How long this took", format!("{} s.\n", results.took_s)),
    ];
    for (title, body) in sections {
        if !body.is_empty() {
            let _ = write!(text, "\n## {title}\n\n{body}");
        }
    }
    text
}

fn heading(results: &Results) -> String {
    let machine = &results.machine;
    let quick = if results.quick {
        "\n**A short run: these figures are rough.**\n"
    } else {
        ""
    };
    format!(
        "# Measured\n\nWritten by `make bench`; docs/performance.md says how. {} × {}, Linux {}, {}, {}; load \
         average before the run {:.1}.\n{quick}",
        machine.cores,
        machine.processor,
        machine.kernel,
        machine.python,
        machine.date,
        machine.load_average
    )
}

fn targets(results: &Results) -> String {
    let rows: Vec<_> = (results.targets.iter())
        .map(|target| {
            let met = if target.met { "met" } else { "**not met**" };
            vec![
                target.what.clone(),
                target.bound.clone(),
                target.found.clone(),
                met.to_owned(),
            ]
        })
        .collect();
    table(&["what", "target", "found", ""], &rows)
}

fn latency(results: &Results) -> String {
    series_table(&results.latency, "workload", OURS)
}

fn globals(results: &Results) -> String {
    series_table(&results.globals, "globals", OURS)
}

/// Percentiles of each series, and how much slower it is than the reference.
fn series_table(all: &[Series], of: &str, reference: &str) -> String {
    let mut rows = Vec::new();
    for name in names(all) {
        let base = find(all, &name, reference).map(|series| series.ms(50.0));
        for series in CONTENDERS
            .iter()
            .filter_map(|contender| find(all, &name, contender))
        {
            rows.push(vec![
                name.clone(),
                series.contender.clone(),
                cell(Some(series.ms(50.0))),
                cell(Some(series.ms(95.0))),
                cell(Some(series.ms(99.0))),
                ratio(Some(series.ms(50.0)), base),
                series.sorted_us.len().to_string(),
            ]);
        }
    }
    table(
        &[
            of,
            "by",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "÷ codejail",
            "executions",
        ],
        &rows,
    )
}

/// The comparisons: medians of the rounds, and ratios within each round.
fn before(results: &Results) -> String {
    let rows: Vec<_> = (results.before.iter())
        .map(|comparison| {
            let (smallest, largest) = comparison.ratio_range();
            vec![
                comparison.contender.clone(),
                comparison.workload.clone(),
                comparison.what.clone(),
                cell(Some(comparison.median(0))),
                cell(Some(comparison.median(1))),
                format!("{:.3}", comparison.ratio()),
                format!("{smallest:.3} to {largest:.3}"),
                comparison.rounds.len().to_string(),
            ]
        })
        .collect();
    table(
        &[
            "beside",
            "workload",
            "",
            OURS,
            "beside it",
            "codejail ÷ that",
            "of a round",
            "rounds",
        ],
        &rows,
    )
}

fn throughput(results: &Results) -> String {
    let rows: Vec<_> = (results.throughput.iter())
        .filter(|run| run.contender == OURS)
        .map(|run| {
            let original = results.throughput.iter().find(|other| {
                (other.contender.as_str(), &other.workload, other.clients)
                    == (ORIGINAL, &run.workload, run.clients)
            });
            vec![
                run.workload.clone(),
                run.clients.to_string(),
                cell(Some(run.per_second)),
                cell(original.map(|original| original.per_second)),
                ratio(
                    Some(run.per_second),
                    original.map(|original| original.per_second),
                ),
                cell(Some(run.times.ms(50.0))),
                cell(Some(run.times.ms(99.0))),
                cell(original.map(|original| original.times.ms(50.0))),
                cell(original.map(|original| original.times.ms(99.0))),
            ]
        })
        .collect();
    let head = [
        "workload",
        "clients",
        "codejail, per second",
        "original, per second",
        "codejail ÷ original",
        "codejail p50 ms",
        "p99 ms",
        "original p50 ms",
        "p99 ms",
    ];
    table(&head, &rows)
}

fn half_load(results: &Results) -> String {
    let rows: Vec<_> = (results.half_load.iter())
        .map(|load| {
            vec![
                load.workload.clone(),
                load.contender.clone(),
                cell(Some(load.per_second)),
                cell(Some(load.times.ms(50.0))),
                cell(Some(load.times.ms(99.0))),
                load.times.sorted_us.len().to_string(),
            ]
        })
        .collect();
    table(
        &[
            "workload",
            "by",
            "arrivals per second",
            "p50 ms",
            "p99 ms",
            "executions",
        ],
        &rows,
    )
}

fn cost(results: &Results) -> String {
    let base = |workload: &str| {
        let of_ours =
            |cost: &&crate::results::Cost| cost.workload == workload && cost.contender == OURS;
        results.cost.iter().find(of_ours).map(|cost| cost.cpu_us)
    };
    let rows: Vec<_> = (results.cost.iter())
        .map(|cost| {
            vec![
                cost.workload.clone(),
                cost.contender.clone(),
                cell(Some(cost.cpu_us / 1e3)),
                ratio(Some(cost.cpu_us), base(&cost.workload)),
                format!("{:.0}", cost.faults),
                cost.executions.to_string(),
            ]
        })
        .collect();
    let head = [
        "workload",
        "by",
        "CPU ms",
        "÷ codejail",
        "page faults",
        "executions",
    ];
    table(&head, &rows)
}

fn preload(results: &Results) -> String {
    let rows: Vec<_> = (results.preload.iter())
        .map(|series| {
            vec![
                series.workload.clone(),
                series.contender.clone(),
                cell(Some(series.ms(50.0))),
                cell(Some(series.ms(95.0))),
                cell(Some(series.ms(99.0))),
                series.sorted_us.len().to_string(),
            ]
        })
        .collect();
    table(
        &[
            "workload",
            "with",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "executions",
        ],
        &rows,
    )
}

fn memory(results: &Results) -> String {
    let rows: Vec<_> = (results.memory.iter())
        .map(|memory| {
            let megabytes = memory.pss_bytes as f64 / 1e6;
            vec![
                memory.contender.clone(),
                memory.sandboxes.to_string(),
                memory.state.clone(),
                cell(Some(megabytes)),
                cell(Some(megabytes / memory.sandboxes as f64)),
            ]
        })
        .collect();
    table(&["by", "sandboxes", "they are", "PSS MB", "each MB"], &rows)
}

fn start(results: &Results) -> String {
    let rows: Vec<_> = (results.start.iter())
        .map(|start| {
            vec![
                start.contender.clone(),
                cell(Some(start.times.ms(50.0))),
                cell(Some(start.times.ms(100.0))),
                cell(Some(start.cpu_us / 1e3)),
                start.times.sorted_us.len().to_string(),
            ]
        })
        .collect();
    table(
        &["of", "median ms", "slowest ms", "CPU ms", "starts"],
        &rows,
    )
}
