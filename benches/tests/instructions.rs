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

/// How often a part with a wrong number is counted. A log calibrates a clock when it begins, and
/// now and then that takes ten million instructions more. A real change shows in each count.
const TRIES: usize = 3;

/// The program as `make build` makes it, beside the service. The number of unoptimised code would
/// mean nothing.
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

/// Instructions of one run: the difference of two counts. It does not contain the cost of the
/// start, if that is the same in both.
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
