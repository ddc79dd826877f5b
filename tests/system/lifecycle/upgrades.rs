//! Python or its libraries are upgraded in place while the service runs.

use codejail_harness::own_python::OwnPython;
use codejail_harness::python::{library, sandbox_python};
use codejail_harness::wait::{START_MAX, wait_for};
use codejail_harness::{Run, Service};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

fn changes(service: &Service) -> u64 {
    service.metric("codejail_python_changes_total")
}

fn wait_for_workers(service: &Service, count: usize) -> Vec<i32> {
    wait_for("the workers", START_MAX, || {
        let serving = service.get("/health/").json()["workers"].as_u64()?;
        let workers: Vec<i32> = service.workers().iter().map(|worker| worker.pid).collect();
        (serving == count as u64 && workers.len() == count).then_some(workers)
    })
}

/// Puts a file in another file's place in one step, as a package manager does.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("py.dpkg-new");
    fs::write(&new, text).expect("write");
    fs::rename(&new, file).expect("rename");
}

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Two clients ask for `x` all the time while `act` does something. Each answer must be one of
/// `right`. Counts how often each came.
fn while_clients_ask(
    service: &Service,
    code: &str,
    right: &[Value],
    act: impl FnOnce(&[AtomicUsize]),
) {
    let stop = AtomicBool::new(false);
    let counts: Vec<AtomicUsize> = right.iter().map(|_| AtomicUsize::new(0)).collect();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let x = service.value_of_x(code);
                    let which = right.iter().position(|right| *right == x);
                    let which = which.unwrap_or_else(|| panic!("{x}"));
                    counts[which].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Stops the clients, also after a panic.
        let _stop = StopAtEnd(&stop);
        act(&counts);
    });
}

fn wait_for_count(count: &AtomicUsize) {
    wait_for("ten such answers", START_MAX, || {
        (count.load(Ordering::Relaxed) >= 10).then_some(())
    });
}

#[test]
fn no_run_mixes_two_versions_and_none_fails() {
    let python = OwnPython::venv(&[("warm", "VERSION = 1"), ("cold", "VERSION = 1")]);
    let overrides = format!("workers = 2\n{}", python.overrides(&["warm"]));
    let service = Service::start(&overrides);
    let mut workers = wait_for_workers(&service, 2);
    let code = "import warm, time; time.sleep(0.01); import cold; x = [warm.VERSION, cold.VERSION]";
    let right: Vec<Value> = (1..=4).map(|version| json!([version, version])).collect();
    while_clients_ask(&service, code, &right, |counts| {
        wait_for_count(&counts[0]);
        for version in 2..=4 {
            // A run could mix the versions in two ways, one for each order of writing.
            let mut names = ["warm", "cold"];
            if version == 3 {
                names.reverse();
            }
            for name in names {
                python.write_module(name, &format!("VERSION = {version}"));
            }
            wait_for_count(&counts[version - 1]);
        }
    });
    assert_eq!(changes(&service), 3);
    let successors = wait_for_workers(&service, 2);
    workers.retain(|worker| successors.contains(worker));
    assert!(workers.is_empty(), "{workers:?} serve on");
    assert!(!service.log().contains("ERROR"), "{}", service.log());
}

/// A venv whose standard library is a copy, too; and the path of that copy.
fn with_own_library() -> (OwnPython, PathBuf) {
    let python = OwnPython::venv(&[]);
    let asked = Command::new(sandbox_python())
        .args([
            "-c",
            "import os, sys; print(os.path.dirname(os.__file__), sys.base_prefix)",
        ])
        .output()
        .expect("python");
    let asked = String::from_utf8(asked.stdout).expect("UTF-8");
    let (library, prefix) = asked.trim().split_once(' ').expect("two paths");
    let venv = python.bin.ancestors().nth(2).expect("a venv").to_owned();
    let base = venv.join("base");
    let copy = base.join(Path::new(library).strip_prefix(prefix).expect("below"));
    fs::create_dir_all(base.join("bin")).expect("mkdir");
    fs::create_dir_all(copy.parent().expect("lib")).expect("mkdir");
    let copied = Command::new("cp")
        .arg("-r")
        .args([Path::new(library), &copy])
        .status();
    assert!(copied.expect("cp").success());
    let name = copy.file_name().expect("python3.x");
    fs::copy(&python.bin, base.join("bin").join(name)).expect("copy");
    let home = format!("home = {}\n", base.join("bin").display());
    fs::write(venv.join("pyvenv.cfg"), home).expect("write");
    (python, copy)
}

#[test]
fn a_new_standard_library_is_what_all_runs_have_after_it() {
    let (python, standard) = with_own_library();
    let service = Service::start(&python.overrides(&[]));
    let workers = wait_for_workers(&service, 1);
    let code = "import csv; x = getattr(csv, 'UPGRADED', False)";
    let own = library("lib", "x = 1\n");
    let bytes = || service.metric("codejail_library_cache_bytes");
    wait_for("bytecode", START_MAX, || {
        service
            .run(&Run::new("import lib").library(own.clone()))
            .success();
        (bytes() > 0).then_some(())
    });
    assert_eq!(changes(&service), 0);
    let right = [json!(false), json!(true)];
    while_clients_ask(&service, code, &right, |counts| {
        wait_for_count(&counts[0]);
        let file = standard.join("csv.py");
        let text = fs::read_to_string(&file).expect("csv.py");
        replace(&file, &format!("{text}\nUPGRADED = True\n"));
        wait_for_count(&counts[1]);
    });
    assert_eq!(service.value_of_x(code), json!(true));
    assert_eq!((changes(&service), bytes()), (1, 0));
    assert_ne!(wait_for_workers(&service, 1), workers);
    assert!(
        service
            .log()
            .contains("Python or its libraries were changed in place")
    );
}

#[test]
fn an_upgrade_that_breaks_python_is_over_when_it_is_repaired() {
    let python = OwnPython::venv(&[("library", "x = 1")]);
    let service = Service::start(&python.overrides(&["library"]));
    python.write_module("six", "raise SystemExit('half an upgrade')");
    wait_for("a worker that can't be started", START_MAX, || {
        service
            .log()
            .contains("a worker can't be started")
            .then_some(())
    });
    let six = "import sys; sys.stdout.write(open(__import__('six').__file__).read())";
    let six = Command::new(sandbox_python())
        .args(["-c", six])
        .output()
        .expect("python");
    python.write_module("six", &String::from_utf8(six.stdout).expect("UTF-8"));
    assert_eq!(
        service.value_of_x("import six, library; x = library.x"),
        json!(1)
    );
}

#[test]
fn files_that_no_run_imports_replace_no_worker() {
    let python = OwnPython::venv(&[("library", "x = 1")]);
    let service = Service::start(&python.overrides(&["library"]));
    let workers = wait_for_workers(&service, 1);
    let site = wait_for("site-packages", START_MAX, || {
        let lib = python.bin.ancestors().nth(2)?.join("lib");
        let version = fs::read_dir(lib).ok()?.next()?.ok()?.path();
        Some(version.join("site-packages"))
    });
    fs::write(site.join("data.json"), "{}").expect("write");
    fs::create_dir(site.join("__pycache__")).expect("mkdir");
    fs::write(site.join("__pycache__/library.cpython-311.pyc"), "").expect("write");
    for n in 0..20 {
        assert_eq!(service.value_of_x(&format!("x = {n}")), json!(n));
    }
    assert_eq!(changes(&service), 0);
    assert_eq!(wait_for_workers(&service, 1), workers);
}
