//! Attacks beside a victim: what makes an attack fail, shown by services that are made to suffer;
//! and that no attack fails with a real service.

use super::fake;
use super::services::{LIMITS, Probed};
use codejail_api_tests::victim::watch::{RIGHT, SLUG};
use codejail_harness::dir::TestDir;
use codejail_harness::root::say;
use codejail_harness::{machine, needs_root};
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// How long every answer takes in quiet: so long that a busy machine adds little to it.
const USUAL: Duration = Duration::from_millis(30);

/// What an attack does to a service.
struct Suffers {
    /// How long the effect lasts after an attack began.
    lasts: Duration,
    /// How long an answer to the victim, and one of `/livez`, takes in that time.
    takes: [Duration; 2],
    /// The answer to the victim in that time.
    says: String,
    /// How many workers the service loses.
    lost: u32,
}

impl Default for Suffers {
    fn default() -> Self {
        Self {
            lasts: Duration::from_millis(500),
            takes: [USUAL; 2],
            says: right(),
            lost: 0,
        }
    }
}

fn right() -> String {
    format!("{{\"globals_dict\": {RIGHT}}}")
}

/// A service that suffers from each attack. It answers loops in the usual time.
fn service(suffers: Suffers) -> SocketAddr {
    let attacked: Mutex<Option<Instant>> = Mutex::new(None);
    fake::service(move |what, body| {
        let since = *attacked.lock().expect("no panic");
        let now = since.is_some_and(|began| began.elapsed() < suffers.lasts);
        if what.contains("/metrics") {
            let lost = since.map_or(0, |_| suffers.lost);
            return format!("codejail_worker_failures_total {lost}\n");
        }
        let [victim, livez] = if now { suffers.takes } else { [USUAL; 2] };
        if what.contains("/livez") {
            thread::sleep(livez);
            String::new()
        } else if body.contains(SLUG) {
            thread::sleep(victim);
            if now { suffers.says.clone() } else { right() }
        } else if body.contains("outcome") {
            *attacked.lock().expect("no panic") = Some(Instant::now());
            thread::sleep(USUAL);
            r#"{"globals_dict": {"x": ["denied", "EACCES"]}}"#.to_owned()
        } else {
            thread::sleep(USUAL);
            r#"{"globals_dict": {}}"#.to_owned()
        }
    })
}

fn attack(address: SocketAddr, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_codejail-api-tests"))
        .args(["--victim", "--base-url", &format!("http://{address}")])
        .args(arguments)
        .output()
        .expect("start it")
}

/// The status, and the output.
fn attacked(suffers: Suffers) -> (Option<i32>, String) {
    let output = attack(service(suffers), &["--phase", "0.4", "deny_locking_memory"]);
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

#[test]
fn an_attack_that_costs_nobody_anything_passes_and_the_figures_are_reported() {
    let _alone = machine::alone();
    let dir = TestDir::new("victim");
    let report = dir.join("report.json");
    let json = report.to_str().expect("UTF-8");
    let arguments = ["--phase", "0.4", "--json", json, "deny_locking_memory"];
    let output = attack(service(Suffers::default()), &arguments);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    assert!(
        printed.contains("deny_locking_memory ... ok\n    p99 of the victim "),
        "{printed}"
    );
    let report: Value = serde_json::from_str(&fs::read_to_string(&report).unwrap()).expect("JSON");
    for phase in ["quiet", "reference", "attack", "after"] {
        for who in ["victim", "livez"] {
            let seen = &report[0]["victim"][phase][who];
            assert_eq!(seen["wrong"], 0, "{phase} {who}: {seen}");
            assert!(
                seen["p99_ms"].as_f64() >= Some(29.0),
                "{phase} {who}: {seen}"
            );
        }
    }
}

#[test]
fn an_attack_beside_which_the_victim_s_answer_is_wrong_fails() {
    let says = r#"{"globals_dict": {}, "emsg": "See logs."}"#.to_owned();
    let (status, printed) = attacked(Suffers {
        says,
        ..Suffers::default()
    });
    assert_eq!(status, Some(1), "{printed}");
    assert!(
        printed.contains("answers to the victim were not right beside it: 200: See logs."),
        "{printed}"
    );
}

#[test]
fn an_attack_that_makes_others_wait_fails() {
    let slow = Duration::from_millis(300);
    for (takes, part) in [
        ([slow, USUAL], "p99 of the victim beside it: "),
        ([USUAL, slow], "p99 of /livez beside it: "),
    ] {
        let (status, printed) = attacked(Suffers {
            takes,
            ..Suffers::default()
        });
        assert_eq!(status, Some(1), "{printed}");
        assert!(printed.contains(part), "{printed}");
    }
}

#[test]
fn an_attack_that_leaves_something_behind_fails() {
    let (status, printed) = attacked(Suffers {
        lasts: Duration::from_secs(4),
        takes: [Duration::from_millis(300), USUAL],
        ..Suffers::default()
    });
    assert_eq!(status, Some(1), "{printed}");
    assert!(
        printed.contains("p99 of the victim two seconds after it: "),
        "{printed}"
    );
}

#[test]
fn an_attack_that_takes_a_worker_fails() {
    let (status, printed) = attacked(Suffers {
        lost: 1,
        ..Suffers::default()
    });
    assert_eq!(status, Some(1), "{printed}");
    assert!(printed.contains("1 workers were lost"), "{printed}");
}

#[test]
fn a_service_that_answers_wrongly_in_quiet_is_no_victim() {
    let address = fake::service(|_, _| "{}".to_owned());
    let output = attack(address, &["--phase", "0.2", "deny_locking_memory"]);
    assert_eq!(output.status.code(), Some(69));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        message.contains("the victim in quiet: 200: {}"),
        "{message}"
    );
}

#[test]
fn a_victim_of_a_service_started_as_root_does_not_feel_a_flood() {
    needs_root!();
    does_not_feel_a_flood(false);
}

#[test]
fn a_victim_of_a_service_started_by_another_user_does_not_feel_a_flood() {
    does_not_feel_a_flood(true);
}

#[test]
#[ignore = "minutes, and the whole machine: make victim"]
fn no_attack_costs_a_victim_of_a_service_started_as_root_anything() {
    needs_root!();
    costs_nobody_anything(false);
}

#[test]
#[ignore = "minutes, and the whole machine: make victim"]
fn no_attack_costs_a_victim_of_a_service_started_by_another_user_anything() {
    costs_nobody_anything(true);
}

fn costs_nobody_anything(unprivileged: bool) {
    let scale = std::env::var("CODEJAIL_TEST_VICTIM_SCALE").unwrap_or_else(|_| "1".to_owned());
    let only = std::env::var("CODEJAIL_TEST_VICTIM_ONLY").unwrap_or_default();
    let mut arguments = vec!["--scale", &scale];
    arguments.extend(only.split_whitespace());
    let (status, printed) = attack_a_real_one(unprivileged, &arguments);
    say(&printed);
    assert_eq!(
        status,
        Some(0),
        "some attack costs others something: see above"
    );
}

fn does_not_feel_a_flood(unprivileged: bool) {
    let arguments = ["--phase", "1", "deny_floods_of_errors"];
    let (status, printed) = attack_a_real_one(unprivileged, &arguments);
    assert_eq!(status, Some(0), "{printed}");
}

fn attack_a_real_one(unprivileged: bool, more: &[&str]) -> (Option<i32>, String) {
    let _alone = machine::alone();
    let service = Probed::start(unprivileged, &[]);
    let limits: Vec<String> = LIMITS
        .iter()
        .map(|(name, value)| format!("--limit={name}={value}"))
        .collect();
    let mut arguments: Vec<&str> = limits.iter().map(String::as_str).collect();
    arguments.extend(more);
    let output = attack(service.address(), &arguments);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), printed)
}
