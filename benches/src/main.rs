//! `make bench`: this service, the original, a bare Python and the limit that no service can beat,
//! side by side.
//!
//! The figures are true only for the machine and the day that are printed with them.

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use codejail_benches::measure::before::Rival;
use codejail_benches::measure::{self, BenchPlan, Field};
use codejail_benches::results::Results;
use codejail_benches::workload::Suite;
use codejail_benches::{machine, report, targets};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Measures and prints tables.
#[derive(Parser)]
struct Arguments {
    /// The `codejail` executable, with the worker module beside it.
    #[arg(long, default_value = "target/release/codejail")]
    codejail: PathBuf,
    /// The executable of an earlier build, which is measured beside this one as `before`.
    #[arg(long)]
    before: Option<PathBuf>,
    /// The sandbox venv's interpreter. The option can be given again, for other venvs with the same
    /// libraries: this build on each of them is compared with this build on the first.
    #[arg(long, default_value = "/sandbox/venv/bin/python")]
    python: Vec<PathBuf>,
    /// An interpreter with the real client and edx-codejail, for the workloads
    /// (scripts/test-venv.sh).
    #[arg(long, default_value = "target/test-venv/bin/python")]
    test_python: PathBuf,
    /// An interpreter with gunicorn and edx-codejail (benches/requirements.txt).
    #[arg(long, default_value = "target/bench-venv/bin/python")]
    original_python: PathBuf,
    /// Leaves the original out, which takes most of the time.
    #[arg(long)]
    without_original: bool,
    /// Only these measurements, with commas between them.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Only these workloads (trivial, problem, "numpy + scipy", ...), with commas between them.
    #[arg(long, value_delimiter = ',')]
    workload: Vec<String>,
    /// Takes an eighth of the time, for a first impression.
    #[arg(long)]
    quick: bool,
    /// The directory for results.md, results.json and latency.svg.
    #[arg(long, default_value = "target/bench")]
    write: PathBuf,
    /// A file whose part between `<!-- bench -->` and `<!-- /bench -->` is replaced by the short
    /// table.
    #[arg(long)]
    into: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Latency,
    Throughput,
    /// Measures throughput too, since half load is half of that.
    HalfLoad,
    Cost,
    Preload,
    Globals,
    Memory,
    Start,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let started = Instant::now();
    let (python, other_pythons) = arguments.python.split_first().context("--python")?;
    let plan = BenchPlan {
        codejail: arguments.codejail.clone(),
        before: arguments.before.clone(),
        python: python.clone(),
        other_pythons: other_pythons.to_vec(),
        original_python: (!arguments.without_original).then(|| arguments.original_python.clone()),
        quickness: if arguments.quick { 8 } else { 1 },
    };
    let mut suite = Suite::load(&arguments.test_python)?;
    if !arguments.workload.is_empty() {
        suite
            .workloads
            .retain(|workload| arguments.workload.contains(&workload.name));
    }
    let mut results = Results::of(machine::describe(python)?, arguments.quick);
    measure_all(&arguments, &plan, &mut suite, &mut results)?;
    results.targets = targets::check(&results);
    results.took_s = started.elapsed().as_secs();
    print!("{}", report::markdown(&results));
    write(&arguments, &results)
}

fn measure_all(
    arguments: &Arguments,
    plan: &BenchPlan,
    suite: &mut Suite,
    results: &mut Results,
) -> Result<()> {
    let wanted = |part| arguments.only.is_empty() || arguments.only.contains(&part);
    let beside = [
        Part::Latency,
        Part::Throughput,
        Part::HalfLoad,
        Part::Cost,
        Part::Globals,
    ];
    if beside.into_iter().any(wanted) {
        let plain = suite.clone();
        let mut field = Field::start(plan, suite)?;
        let rivals = Rival::all(plan, suite, &plain)?;
        if wanted(Part::Latency) {
            results.latency = measure::latency::measure(plan, &mut field, suite)?;
            for rival in &rivals {
                results
                    .before
                    .extend(measure::before::latency(plan, suite, rival)?);
            }
        }
        if wanted(Part::Throughput) || wanted(Part::HalfLoad) {
            results.throughput = measure::throughput::measure(plan, &field, suite)?;
        }
        if wanted(Part::HalfLoad) {
            results.half_load =
                measure::half_load::measure(plan, &field, suite, &results.throughput)?;
        }
        if wanted(Part::Cost) {
            results.cost = measure::cost::measure(plan, &mut field, suite)?;
            for rival in &rivals {
                results
                    .before
                    .extend(measure::before::cost(plan, suite, rival)?);
            }
        }
        if wanted(Part::Globals) {
            results.globals = measure::globals::measure(plan, &mut field)?;
        }
        field.stop()?;
    }
    if wanted(Part::Preload) {
        let (times, costs) = measure::preload::measure(plan, suite)?;
        results.preload = times;
        results.cost.extend(costs);
    }
    if wanted(Part::Memory) {
        results.memory = measure::memory::measure(plan, suite)?;
    }
    if wanted(Part::Start) {
        results.start = measure::start::measure(plan)?;
    }
    Ok(())
}

fn write(arguments: &Arguments, results: &Results) -> Result<()> {
    let dir = &arguments.write;
    std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    let json = dir.join("results.json");
    std::fs::write(&json, serde_json::to_string(results)? + "\n")?;
    std::fs::write(dir.join("results.md"), report::markdown(results))?;
    if !results.latency.is_empty() {
        plot(&arguments.python[0], &json, &dir.join("latency.svg"))?;
    }
    if let Some(file) = &arguments.into {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        std::fs::write(file, report::insert(&text, &report::short(results))?)?;
    }
    eprintln!("written to {}", dir.display());
    Ok(())
}

fn plot(python: &Path, json: &Path, svg: &Path) -> Result<()> {
    let status = Command::new(python)
        .args(["-B", "benches/python/plot.py"])
        .args([json, svg])
        .status()
        .context("plot.py")?;
    anyhow::ensure!(status.success(), "plot.py: {status}");
    Ok(())
}
