//! What the service's pure parts cost in instructions, which no other load on the machine changes.

use codejail_harness::binary::optimised_codejail;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

/// What each part took when it was last looked at: `instructions.toml` tells how.
const EXPECTED: &str = include_str!("instructions.toml");

/// Compilers and C libraries differ by some per cent. What is lost or won by more is to be seen: a
/// bound far above what is needed would guard nothing.
const TOLERANCE: f64 = 0.3;

/// Of the smallest parts that is a handful of instructions, which an update of the compiler may
/// bring.
const TOLERANCE_MIN: f64 = 200.0;

/// How often a part is counted that seems wrong. The part that begins a log calibrates a clock at
/// its start, which now and then takes ten million instructions more; a change shows in each count.
const TRIES: usize = 3;

/// As `make build` makes it, beside the service: unoptimised code says nothing.
fn binary() -> PathBuf {
    optimised_codejail().with_file_name("codejail-bench-parts")
}

fn instructions(part: &str, times: u32) -> f64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(binary())
        .args([part, &times.to_string()])
        .output()
        .expect("valgrind runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{part}: {text}");
    let line = text
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let (_, count) = line.unwrap_or_else(|| panic!("{part}: no count in {text}"));
    count.trim().parse().expect("a number")
}

/// The difference of two counts is free of what starting costs, where starting costs the same
/// twice.
fn per_time(part: &str) -> f64 {
    (instructions(part, 30) - instructions(part, 10)) / 20.0
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
        let is_right = |found: f64| {
            expected.is_some_and(|expected| {
                (found - expected).abs() <= (TOLERANCE * expected).max(TOLERANCE_MIN)
            })
        };
        let mut found = Vec::new();
        while found.len() < TRIES && !found.last().copied().is_some_and(is_right) {
            found.push(per_time(part));
        }
        println!("{part:?} = {found:.0?}");
        if !found.last().copied().is_some_and(is_right) {
            wrong.push(format!(
                "{part:?}: {found:.0?} instructions, not {expected:?}"
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
