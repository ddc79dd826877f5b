//! `check`, `run` and the output of `serve`, beside a service that runs with the same
//! configuration.

use codejail_harness::Service;
use codejail_harness::binary::codejail_command;
use codejail_harness::processes;
use codejail_harness::python::library;
use codejail_harness::root::is_root;
use codejail_harness::wait::{END_MAX, wait_until};
use serde_json::json;
use std::fs;
use std::process::Stdio;

/// How a command ended, and its output.
#[derive(Debug)]
struct Said {
    status: Option<i32>,
    out: String,
    err: String,
}

/// Runs codejail to its end, without the variables of this test's own environment.
fn codejail(arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    let output = codejail_command()
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("start codejail");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Said {
        status: output.status.code(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

fn config_of(service: &Service) -> String {
    let path = service.dir().join("codejail.toml");
    path.to_str().expect("UTF-8").to_owned()
}

fn write(service: &Service, name: &str, text: impl AsRef<[u8]>) -> String {
    let path = service.dir().join(name);
    fs::write(&path, text).expect("write");
    path.to_str().expect("UTF-8").to_owned()
}

/// `codejail run` of a file of its own, with the service's configuration.
fn run(service: &Service, code: &str, arguments: &[&str]) -> Said {
    let (config, file) = (config_of(service), write(service, "problem.py", code));
    let mut all = vec!["run", &file, "--config", &config];
    all.extend(arguments);
    codejail(&all, &[])
}

/// Only the service's own directories are left (for its worker, for two sandboxes, and for files
/// that wait to be removed), and only its own processes.
fn assert_nothing_left(service: &Service) {
    wait_until("no directory of a tool", END_MAX, || {
        service.scratch_directories().len() == 4
    });
    let family = service.wait_for_processes(2 + 1 + 2);
    if is_root() {
        let mut others = processes::all();
        others.retain(|process| service.owns(process) && !family.contains(process));
        assert_eq!(others, []);
    }
}

#[test]
fn run_prints_the_globals_that_a_request_would_get() {
    let service = Service::start("");
    let library = library("course_lib", "value = 40");
    let library = write(&service, "lib.zip", library);
    let code = "import course_lib\nx = course_lib.value + seed\ny = float('nan')";
    let globals = write(
        &service,
        "globals.json",
        r#"{"seed": 2, "big": 12345678901234567890123}"#,
    );
    for globals in [
        &*format!("@{globals}"),
        r#"{"seed": 2, "big": 12345678901234567890123}"#,
    ] {
        let said = run(
            &service,
            code,
            &["--globals", globals, "--python-lib", &library],
        );
        assert_eq!(said.status, Some(0), "{said:?}");
        assert_eq!(said.err, "");
        assert!(
            said.out.contains("\"big\":12345678901234567890123"),
            "{said:?}"
        );
        assert!(
            said.out.contains("\"x\": 42") || said.out.contains("\"x\":42"),
            "{said:?}"
        );
        assert!(said.out.contains("NaN"), "{said:?}");
    }
    assert_nothing_left(&service);
}

#[test]
fn run_prints_what_the_author_would_read_and_fails() {
    let service = Service::start("");
    let said = run(&service, "1/0", &[]);
    assert_eq!((said.status, &*said.out), (Some(1), ""), "{said:?}");
    assert!(
        said.err.starts_with("Couldn't execute jailed code: "),
        "{said:?}"
    );
    assert!(said.err.contains("ZeroDivisionError"), "{said:?}");
    let said = run(&service, "open('/etc/passwd')", &[]);
    assert!(said.err.contains("PermissionError: [Errno 13]"), "{said:?}");
    let said = run(&service, "while True: pass", &["--context", "short"]);
    assert_eq!(said.status, Some(1));
    assert!(said.err.contains("with status code: -9"), "{said:?}");
    assert_nothing_left(&service);
}

#[test]
fn run_says_what_is_wrong_with_what_it_was_given() {
    let service = Service::start("");
    let latin = write(&service, "latin.py", b"x = '\xe9'");
    let config = config_of(&service);
    for (arguments, status, part) in [
        (vec!["/nonexistent.py"], 66, "cannot read /nonexistent.py"),
        (vec![&*latin], 65, "it is not UTF-8"),
        (
            vec!["/dev/null", "--globals", "[]"],
            65,
            "must be a JSON object",
        ),
        (
            vec!["/dev/null", "--globals", "{"],
            65,
            "must be a JSON object",
        ),
        (
            vec!["/dev/null", "--globals", "@/nonexistent"],
            66,
            "cannot read /nonexistent",
        ),
        (
            vec!["/dev/null", "--python-lib", "/nonexistent"],
            66,
            "cannot read /nonexistent",
        ),
        (vec![], 64, "<FILE>"),
    ] {
        let mut all = vec!["run", "--config", &config];
        all.extend(arguments);
        let said = codejail(&all, &[]);
        assert_eq!(said.status, Some(status), "{all:?} {said:?}");
        assert!(said.err.contains(part), "{all:?} {said:?}");
    }
}

#[test]
fn check_prints_what_each_layer_got() {
    let service = Service::start(
        "[python]\npreload = ['json', 'no_such_module']\n[limits]\nNPROC = 12\n\
         [cgroup]\nmemory_bytes_max = 0",
    );
    let said = codejail(&["check", "--config", &config_of(&service)], &[]);
    assert_eq!(said.status, Some(0), "{said:?}");
    let mut parts = vec![
        "configuration     ok\n",
        "six is there\n",
        "preload           1 of 2 modules",
        "warning           python.preload: no_such_module can't be imported: ModuleNotFoundError",
        "warning           one run can take ",
        "layer uid         ",
        "layer namespaces  ",
        "layer landlock    ",
        "layer seccomp     on",
        "layer uid         ",
        "layer namespaces  ",
        "layer mounts      ",
        "layer cgroup      ",
        "layer landlock    ",
        "layer seccomp     on: ",
        "layer rlimits     on: ",
        "CPU 10, ",
        "check functionality passed\n",
        "check disk        passed\n",
        "check files       passed\n",
        "check exec        passed\n",
        "check network     passed\n",
    ];
    if is_root() {
        parts.extend([
            "layer uid         on",
            "layer landlock    on: ABI ",
            "NPROC 12",
        ]);
    }
    for part in parts {
        assert!(said.out.contains(part), "{part}\n{}", said.out);
    }
    assert_nothing_left(&service);
    assert_eq!(service.value_of_x("x = 1"), json!(1));
}

#[test]
fn check_fails_where_a_service_would() {
    let service = Service::start("");
    let config = config_of(&service);
    // Root makes a root for the worker, and asks Python for its paths before. Another user starts
    // the worker at once.
    let (false_status, false_part) = if is_root() {
        (78, "it does not answer as a Python does (exit status: 1)")
    } else {
        (69, "it ended before it was warm, with exit status 1")
    };
    for (name, value, status, part) in [
        (
            "CODEJAIL_PYTHON__BIN",
            "/nonexistent",
            78,
            "python.bin = \"/nonexistent\"",
        ),
        (
            "CODEJAIL_PYTHON__BIN",
            "/bin/false",
            false_status,
            false_part,
        ),
        (
            "CODEJAIL_PYTHON__WORKER_MODULE",
            "/nonexistent.so",
            78,
            "/nonexistent.so",
        ),
        (
            "CODEJAIL_WORKERS",
            "zero",
            78,
            "CODEJAIL_WORKERS=zero (environment): must be",
        ),
    ] {
        let said = codejail(&["check", "--config", &config], &[(name, value)]);
        assert_eq!(said.status, Some(status), "{name} {said:?}");
        assert!(said.err.contains(part), "{name} {said:?}");
    }
    if is_root() {
        // Without both layers a sandbox can list `/`.
        let off = [
            ("CODEJAIL_LAYERS__LANDLOCK", "off"),
            ("CODEJAIL_LAYERS__MOUNTS", "off"),
        ];
        let said = codejail(&["check", "--config", &config], &off);
        assert_eq!(said.status, Some(69), "{said:?}");
        let layer = "layer landlock    none: layers.landlock = \"off\"";
        assert!(said.out.contains(layer), "{said:?}");
        assert!(said.out.contains("check disk        expected"), "{said:?}");
        let said = codejail(&["run", "/dev/null", "--config", &config], &off);
        assert_eq!((said.status, &*said.out), (Some(69), ""), "{said:?}");
        // The uid is in the service's range, but not in the tool's.
        let user = (service.uid_base() + 3).to_string();
        let said = codejail(&["check", "--config", &config], &[("CODEJAIL_USER", &user)]);
        assert_eq!(said.status, Some(78), "{said:?}");
    }
    assert_nothing_left(&service);
}

#[test]
fn serve_checks_and_prints_its_configuration() {
    let service = Service::start("");
    let config = config_of(&service);
    let serve = |arguments: &[&str], variables: &[(&str, &str)]| {
        codejail(
            &[&["serve", "--config", &config], arguments].concat(),
            variables,
        )
    };
    let said = serve(&["--check-config"], &[]);
    assert_eq!((said.status, &*said.out), (Some(0), "configuration ok\n"));
    assert_eq!(said.err, "");
    let said = serve(&["--check-config", "--workers", "0"], &[]);
    assert_eq!((said.status, &*said.out), (Some(78), ""));
    let error = "codejail: --workers 0: must be a whole number from 1 to 256\n";
    assert_eq!(said.err, error);
    let said = serve(
        &["--print-config", "--workers", "3"],
        &[("CODEJAIL_LIMITS__NPROC", "9")],
    );
    assert_eq!((said.status, &*said.err), (Some(0), ""), "{said:?}");
    for line in [
        "workers = 3  # --workers".to_owned(),
        "NPROC = 9  # environment, CODEJAIL_LIMITS__NPROC".to_owned(),
        format!("REALTIME = 0.3  # {config}"),
    ] {
        assert!(
            said.out.lines().any(|found| found == line),
            "{line}\n{}",
            said.out
        );
    }
    let printed = write(&service, "printed.toml", &said.out);
    let again = codejail(&["serve", "--config", &printed, "--print-config"], &[]);
    let values = |text: &str| text.parse::<toml::Table>().expect("TOML");
    assert_eq!(values(&again.out), values(&said.out));
}

#[test]
fn help_names_environment_signals_and_exit_statuses() {
    let said = codejail(&["--help"], &[]);
    assert_eq!(said.status, Some(0));
    for part in [
        "CODEJAIL_SERVICE_CFG",
        "TERM",
        "78",
        "codejail run ",
        "sysexits",
    ] {
        assert!(said.out.contains(part), "{part}\n{}", said.out);
    }
    assert!(said.out.ends_with('\n'));
    assert_eq!(codejail(&["serve", "--wrokers", "3"], &[]).status, Some(64));
}
