//! Bounds for the service's speed: ratios within one run, and counts. Neither depends on the speed
//! of the machine.

use codejail_benches::contender::{Bare, Contender, Http, Options, Ours};
use codejail_benches::measure::cost;
use codejail_benches::sampling::{median, micros};
use codejail_benches::workload::{Suite, Workload};
use codejail_harness::binary::optimised_codejail;
use codejail_harness::python::{sandbox_python, test_python};
use serde_json::json;

/// Rounds in which each contender is asked once. Other load does not move the median of so many.
const ROUNDS: usize = 15;

/// Executions over which page faults are counted.
const EXECUTIONS: usize = 40;

fn service(overrides: &str) -> Ours {
    Ours::start(&Options {
        codejail: optimised_codejail().to_owned(),
        python: sandbox_python(),
        overrides: overrides.to_owned(),
    })
    .expect("a service")
}

fn suite() -> Suite {
    // The paths of workloads begin at the project's directory.
    std::env::set_current_dir("..").expect("the project's directory");
    Suite::load(&test_python()).expect("workloads")
}

/// Medians in microseconds. The contenders are asked in turn.
fn medians(workload: &Workload, contenders: &mut [&mut dyn Contender]) -> Vec<u32> {
    let mut times_us = vec![Vec::new(); contenders.len()];
    for _ in 0..ROUNDS {
        for (contender, times_us) in contenders.iter_mut().zip(&mut times_us) {
            times_us.push(micros(contender.execute(workload).expect("an answer")));
        }
    }
    times_us.iter().map(|times_us| median(times_us)).collect()
}

/// Page faults per execution: pages that a child has to copy or to map. They are most of its cost.
fn faults(service: &Ours, workload: &Workload) -> f64 {
    let client = &mut Http::new(service.address(), false);
    cost::of_service(service.pid(), client, workload, EXECUTIONS)
        .expect("answers")
        .1
}

#[test]
fn executions_cost_a_fraction_of_a_fresh_interpreters() {
    let suite = suite();
    let service = service("max_requests = 0");
    let mut bare = Bare::new(&sandbox_python(), &suite.scripts).expect("a directory");
    // Ratios on two loaded cores (2026-11-26): 18, 93, 21 (3.2 without the modules that sympy
    // imports late) and 6.6. Without preloading or caching the ratio is 1 to 2.
    for (name, bound) in [
        ("trivial", 4.0),
        ("numpy + scipy", 15.0),
        ("sympy", 6.0),
        ("course library", 2.0),
    ] {
        let workload = suite.workload(name).expect("a workload");
        let mut ours = Http::new(service.address(), false);
        // This execution has the library compiled for those that follow.
        ours.execute(workload).expect("an answer");
        let times_us = medians(workload, &mut [&mut ours, &mut bare]);
        let ratio = f64::from(times_us[1]) / f64::from(times_us[0]);
        println!("{name}: a fresh interpreter takes {ratio:.1} times as long");
        assert!(
            ratio >= bound,
            "{name}: {times_us:?} µs, {ratio:.1} times, not {bound}"
        );
    }
    let trivial = suite.workload("trivial").expect("a workload");
    let everything = faults(&service, trivial);
    println!("{everything:.0} page faults with everything preloaded");
    let tables = faults(&service, &with_tables()) - everything;
    println!("{tables:.0} more with globals of 20 kB");
    service.stop().expect("it stops");
    let service = self::service("max_requests = 0\n[python]\npreload = []");
    let nothing = faults(&service, trivial);
    println!("{nothing:.0} page faults with nothing preloaded");
    service.stop().expect("it stops");
    let growth = everything / nothing;
    assert!(
        growth <= GROWTH_MAX,
        "{growth:.2} times the page faults with everything preloaded"
    );
    assert!(
        everything <= FAULTS_EVERYTHING_MAX,
        "{everything:.0} page faults per execution"
    );
    assert!(
        tables <= FAULTS_TABLES_MAX,
        "{tables:.0} page faults more with globals of 20 kB"
    );
}

/// Globals of many small objects, 20 kB of JSON.
fn with_tables() -> Workload {
    let row = json!({ "name": "a text of some words", "score": 0.25, "tags": ["a", null, true] });
    let globals = json!({ "rows": vec![row; 300] });
    Workload::new("tables", "x = len(rows)", globals, json!({ "x": 300 })).expect("a workload")
}

/// Page faults per execution of `x = 1 + 1`, the preparation of the next sandbox included: 772, and
/// a third more for safety (2026-11-26, Linux 6.18, Python 3.11). If each child executed the first
/// part of the runner, as it once did, there would be 240 more.
const FAULTS_EVERYTHING_MAX: f64 = 1_000.0;

/// How much an execution grows with libraries that are preloaded and not used: 1.5 times
/// (2026-11-26).
const GROWTH_MAX: f64 = 2.0;

/// Page faults that many small objects may add: 133 were seen (2026-11-26), the bound is three
/// times as many. The objects lie in new memory. In the free blocks all over the warm image they
/// would cost 1,609 (see `worker/src/heap.rs`).
const FAULTS_TABLES_MAX: f64 = 400.0;
