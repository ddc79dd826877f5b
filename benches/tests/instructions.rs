//! Instructions of the service's pure parts. Other load of the machine does not change their
//! number.

use codejail_harness::binary::optimised_codejail;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

/// The number of each part when it was last noted. `instructions.toml` says how to note it.
const EXPECTED: &str = include_str!("instructions.toml");

/// Another compiler or C library changes the number by some per cent. The test must notice a larger
/// change, up or down: a bound far above the real number would guard nothing.
const TOLERANCE: f64 = 0.3;

/// For the smallest parts the share above is only a few instructions. An update of the compiler may
/// add as many, so at least this number is allowed.
const TOLERANCE_MIN: f64 = 200.0;

/// How often the counted function runs a part.
const TIMES: u32 = 20;

/// The program as `make build` makes it, beside the service. The number of unoptimised code would
/// mean nothing.
fn binary() -> PathBuf {
    optimised_codejail().with_file_name("codejail-bench-parts")
}

/// Instructions of one run. The start of the program and the first run do not count.
fn per_time(part: &str) -> f64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args([
            "--collect-atstart=no",
            "--toggle-collect=codejail_bench_parts::counted",
        ])
        .arg(binary())
        .args([part, &TIMES.to_string()])
        .output()
        .expect("valgrind runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{part}: {text}");
    let line = text
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let (_, count) = line.unwrap_or_else(|| panic!("{part}: no count in {text}"));
    let count: f64 = count.trim().parse().expect("a number");
    assert!(
        count > 0.0,
        "{part}: the counted function was not found: {text}"
    );
    count / f64::from(TIMES)
}

#[test]
fn each_part_takes_the_instructions_that_it_took() {
    let expected: BTreeMap<String, f64> = toml::from_str(EXPECTED).expect("TOML");
    let parts: Vec<_> = codejail_benches::parts::all()
        .iter()
        .map(|part| part.name)
        .collect();
    let mut wrong = Vec::new();
    for part in &parts {
        let expected = expected.get(*part).copied();
        let found = per_time(part);
        println!("{part:?} = {found:.0}");
        let is_right = expected.is_some_and(|expected| {
            (found - expected).abs() <= (TOLERANCE * expected).max(TOLERANCE_MIN)
        });
        if !is_right {
            wrong.push(format!(
                "{part:?}: {found:.0} instructions, not {expected:?}"
            ));
        }
    }
    for name in expected.keys() {
        assert!(
            parts.contains(&name.as_str()),
            "instructions.toml: no part {name:?}"
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
