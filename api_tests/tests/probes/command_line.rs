//! The binary: its output, the files that it writes, and its exit status.

use super::fake;
use codejail_harness::dir::TestDir;
use codejail_harness::python::sandbox_python;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_codejail-api-tests"));
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().expect("start it")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Answers everything with this body, as long as the test runs, on a port of its own.
fn service_that_says(body: &'static str) -> SocketAddr {
    fake::service(move |_, _| body.to_owned())
}

#[test]
fn it_lists_probes_by_a_part_of_their_names() {
    let all = run(&["--list"]);
    assert_eq!(all.status.code(), Some(0));
    assert!(text(&all.stdout).lines().count() >= 150);
    let some = text(&run(&["--list", "deny_mount"]).stdout);
    let line = some.lines().find(|line| line.starts_with("deny_mount\t"));
    assert_eq!(
        line,
        Some("deny_mount\tkernel\tsurface\tNothing can be mounted.")
    );
    let line = text(&run(&["--list", "errors_of_listing_processes"]).stdout);
    assert!(line.ends_with("\toriginal: deny_list_proc\n"), "{line}");
}

#[test]
fn it_lists_probes_by_their_groups() {
    let some = text(&run(&["--list", "--group", "files", "--group", "network"]).stdout);
    let groups: std::collections::BTreeSet<&str> = some
        .lines()
        .filter_map(|line| line.split('\t').nth(1))
        .collect();
    assert_eq!(groups.into_iter().collect::<Vec<_>>(), ["files", "network"]);
    assert_eq!(run(&["--list", "--group", "none"]).stdout, b"");
}

#[test]
fn mistakes_have_the_statuses_of_sysexits() {
    let dir = TestDir::new("probes");
    let garbage = dir.join("garbage");
    fs::write(&garbage, "{").expect("write");
    let garbage = garbage.to_str().expect("UTF-8");
    let closed = TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a port");
    let closed = format!("http://{closed}");
    let cases: [(&[&str], i32, &str); 8] = [
        (&["--nonsense"], 64, "--nonsense"),
        (
            &["--base-url", "localhost:8080"],
            64,
            "must be http://HOST:PORT",
        ),
        (
            &["--limit", "CPU"],
            64,
            "must be NAME=NUMBER with one of CPU",
        ),
        (
            &["--limit", "CPUS=1"],
            64,
            "must be NAME=NUMBER with one of CPU",
        ),
        (&["--decoys", "/nonexistent"], 66, "/nonexistent"),
        (&["--decoys", garbage], 65, garbage),
        (&["--base-url", &closed], 69, "refused"),
        (
            &["--base-url", "http://no-such-host.invalid"],
            69,
            "no such host",
        ),
    ];
    for (arguments, status, part) in cases {
        let output = run(arguments);
        let message = text(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(status),
            "{arguments:?}: {message}"
        );
        assert!(message.contains(part), "{arguments:?}: {message}");
    }
    assert_eq!(run(&["--help"]).status.code(), Some(0));
}

#[test]
fn what_fails_otherwise_than_by_a_denial_is_broken_and_fails() {
    let address = service_that_says(r#"{"globals_dict": {}, "emsg": "See logs."}"#);
    // By a name: the address that accepts is used.
    let url = format!("http://localhost:{}", address.port());
    let output = run(&["--base-url", &url, "deny_fork"]);
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(
        printed.contains("probe deny_fork ... FAILED\n    broken: "),
        "{printed}"
    );
    assert!(printed.ends_with("0 passed, 3 failed\n"), "{printed}");
}

#[test]
fn an_attack_that_succeeds_fails_and_a_denied_one_passes() {
    for (body, status, last) in [
        (
            r#"{"globals_dict": {"x": ["succeeded", "it was done"]}}"#,
            1,
            "0 passed, 3 failed\n",
        ),
        (
            r#"{"globals_dict": {"x": ["denied", "EAGAIN"]}}"#,
            0,
            "3 passed, 0 failed\n",
        ),
    ] {
        let url = format!("http://{}", service_that_says(body));
        let output = run(&["--base-url", &url, "--jobs", "3", "deny_fork"]);
        assert_eq!(output.status.code(), Some(status));
        assert!(
            text(&output.stdout).ends_with(last),
            "{}",
            text(&output.stdout)
        );
    }
}

#[test]
fn what_ran_nothing_has_shown_nothing() {
    let url = format!("http://{}", service_that_says("{}"));
    let none = run(&["--base-url", &url, "no_such_probe"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none.stdout).ends_with("0 passed, 0 failed\n"));
    let skipped = run(&["--base-url", &url, "deny_memory_past_the_limit"]);
    assert_eq!(skipped.status.code(), Some(1));
    let printed = text(&skipped.stdout);
    assert!(
        printed.contains("... skipped, the service has no limit VMEM"),
        "{printed}"
    );
    assert!(
        printed.ends_with("0 passed, 0 failed, 1 skipped\n"),
        "{printed}"
    );
}

#[test]
fn reports_are_written_for_machines() {
    let dir = TestDir::new("probes");
    let (junit, json) = (dir.join("junit.xml"), dir.join("report.json"));
    let url = format!(
        "http://{}",
        service_that_says(r#"{"globals_dict": {"x": ["denied", "<no>"]}}"#)
    );
    let mut command = command(&["--base-url", &url, "_files"]);
    command.arg("--junit").arg(&junit).arg("--json").arg(&json);
    assert_eq!(command.output().expect("start it").status.code(), Some(1));
    let report: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).expect("JSON");
    let probes = report.as_array().expect("a list");
    assert!(probes.len() > 5);
    for probe in probes {
        let keys: Vec<&str> = probe
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let expected = "group how kind name original outcome passed reason seconds shows victim";
        assert_eq!(keys.join(" "), expected);
    }
    let xml = fs::read_to_string(&junit).unwrap();
    assert_eq!(xml.matches("<testcase ").count(), probes.len());
    let passed = |probe: &&Value| probe["passed"] == true;
    let skipped = |probe: &&Value| probe["outcome"] == "skipped";
    let skips = probes.iter().filter(skipped).count();
    let failures = probes.len() - skips - probes.iter().filter(passed).count();
    assert_eq!(xml.matches("<failure ").count(), failures);
    assert_eq!(xml.matches("<skipped ").count(), skips);
    // Python's parser says whether the text is XML.
    let parse = "import sys, xml.etree.ElementTree as t; print(t.parse(sys.argv[1]).getroot().tag)";
    let parsed = Command::new(sandbox_python())
        .args(["-c", parse])
        .arg(&junit)
        .output();
    assert_eq!(text(&parsed.expect("Python").stdout), "testsuites\n");
    let nowhere = run(&[
        "--base-url",
        &url,
        "--json",
        "/nonexistent/report",
        "_files",
    ]);
    assert_eq!(nowhere.status.code(), Some(73));
}

#[test]
fn decoys_are_there_until_it_is_told_to_end() {
    let dir = TestDir::new("probes");
    let decoys = dir.join("decoys");
    let mut process = command(&["decoys", "--dir"])
        .arg(&decoys)
        .stdout(Stdio::piped())
        .spawn()
        .expect("start it");
    let mut line = String::new();
    let stdout = process.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let facts = decoys.join("decoys.json");
    assert_eq!(
        line,
        format!("decoys are ready: --decoys {}\n", facts.display())
    );
    let facts: Value = serde_json::from_str(&fs::read_to_string(facts).unwrap()).expect("JSON");
    let decoy = Path::new("/proc").join(facts["pid"].to_string());
    assert!(decoy.exists());
    let taken = command(&["decoys", "--dir"])
        .arg(&decoys)
        .output()
        .expect("start it");
    assert_eq!(
        taken.status.code(),
        Some(73),
        "a directory that is there is left alone"
    );
    let pid = i32::try_from(process.id()).expect("a pid");
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("kill");
    assert_eq!(process.wait().expect("wait").code(), Some(0));
    assert!(!decoys.exists() && !decoy.exists());
}
