//! If a user who is not root starts the service, the layer uid is off. Runs get the same answers,
//! and attacks are denied all the same.

use codejail_harness::python::library;
use codejail_harness::root::is_root;
use codejail_harness::wait::{START_MAX, wait_for};
use codejail_harness::{Run, Service, Setup};
use serde_json::{Value, json};

fn service(overrides: &str) -> Service {
    Service::start_unprivileged(overrides)
}

#[test]
fn all_its_processes_are_one_user() {
    let service = service("");
    let off = service.events("layer_disabled");
    let uid = "layer off: not started as root";
    assert!(off.iter().any(|line| line.contains(uid)), "{off:?}");
    let family = service.wait_for_processes(1 + 1 + 1 + 2);
    let uids: Vec<u32> = family.iter().map(|process| process.uid).collect();
    assert!(
        uids.iter().all(|uid| *uid == uids[0] && *uid != 0),
        "{uids:?}"
    );
    // A sandbox's user namespace maps nobody. The files that it makes still belong to the same
    // user.
    let inside = service.value_of_x("import os; x = [os.getuid(), os.stat('tmp').st_uid]");
    assert_eq!(inside, json!([65534, 65534]));
    assert_eq!(service.value_of_x("import os; x = os.getppid()"), json!(1));
}

#[test]
fn without_landlock_runs_are_not_kept_apart_and_nothing_is_executed() {
    let service = Service::launch(&Setup {
        overrides: "[layers]\nlandlock = 'off'\nmounts = 'auto'",
        unprivileged: true,
        ..Setup::default()
    });
    let health = wait_for("the startup check", START_MAX, || {
        let health = service.get("/health/").json();
        health["checks"].is_array().then_some(health)
    });
    let checks = health["checks"].as_array().expect("checks");
    let files = checks.iter().find(|check| check["id"] == "files");
    let files = files.expect("a check of files");
    assert!(!files["failure"].is_null(), "{health}");
    assert_eq!(health["status"], "UNAVAILABLE");
    assert_eq!(service.execute("x = 1").status, 500);
}

#[test]
fn it_is_healthy_and_executes() {
    let service = service("");
    assert_eq!(service.get("/health/").json()["status"], "OK");
    let sum = service.run(&Run::new("x = y + 1").globals(r#"{"y": 16}"#));
    assert_eq!(sum.success(), json!({"x": 17, "y": 16}));
    let lib = library("course_lib", "z = 5");
    let imported = service.run(&Run::new("import course_lib; x = course_lib.z").library(lib));
    assert_eq!(imported.success(), json!({"x": 5}));
    for (run, part) in [
        (Run::new("1 / 0"), "ZeroDivisionError"),
        (
            Run::new("while True: pass").context("short"),
            "status code: -9",
        ),
        (Run::new("import os; os._exit(0)"), "corrupted stdout"),
        (Run::new("import os; os._exit(3)"), "status code: 3"),
        (
            Run::new("import ctypes; ctypes.string_at(0)"),
            "status code: -11",
        ),
        (
            Run::new("import os; os.fork()"),
            "BlockingIOError: [Errno 11]",
        ),
        (
            Run::new("import socket; socket.socket()"),
            "PermissionError: [Errno 13]",
        ),
        (
            Run::new("import os; os.listdir('/')"),
            "PermissionError: [Errno 13]",
        ),
        (
            Run::new("import os; os.execv('/bin/date', ['d'])"),
            "PermissionError: [Errno 13]",
        ),
        (
            Run::new(
                "import threading, time\nfor n in range(99): threading.Thread(target=time.sleep, args=(0.2,)).start()",
            ),
            "start new thread",
        ),
    ] {
        let message = service.run(&run).emsg();
        assert!(message.contains(part), "{run:?}: {message}");
    }
}

#[test]
fn what_it_owns_is_protected_from_its_sandboxes_all_the_same() {
    let service = service("[limits]\nFSIZE = 1000\n[layers]\nmounts = 'auto'");
    let code = r"
import os, resource
def outcome(attempt, *args):
    try:
        attempt(*args)
    except OSError as error:
        return type(error).__name__
    return 'done'
before = open('jailed_code').read()
x = [outcome(os.truncate, 'jailed_code', 0), outcome(open, 'jailed_code', 'w'),
     outcome(os.open, 'jailed_code', os.O_RDONLY | os.O_TRUNC), outcome(os.unlink, 'jailed_code'),
     outcome(os.rename, 'jailed_code', 'tmp/j'), outcome(os.mkdir, 'new'),
     outcome(open, 'new', 'w'), outcome(os.rename, 'tmp', 'other'),
     outcome(open, '/tmp/codejail-new', 'w')]
pids = [pid for pid in range(1, 100) if pid != os.getpid()] + [0, -1]
x += sorted({outcome(os.kill, pid, 9) for pid in pids})
x += sorted({outcome(resource.prlimit, pid, resource.RLIMIT_CPU, (1, 1)) for pid in pids if pid > 0})
x += sorted({outcome(open, f'/proc/{pid}/{file}') for pid in host for file in ('mem', 'environ', 'maps')})
# Landlock denies a link from one directory to another with EXDEV, not with EACCES.
link = outcome(os.link, 'jailed_code', 'tmp/j')
same = before == open('jailed_code').read() != ''
open('tmp/file', 'w').write('allowed')
";
    let host = service.lasting_pids();
    let run = Run::new(code).globals(json!({ "host": host }).to_string());
    for _ in 0..3 {
        let globals = service.run(&run).success();
        let outcomes = vec!["PermissionError"; 12];
        assert_eq!(globals["x"], json!(outcomes), "{globals}");
        assert_eq!(globals["link"], "OSError");
        assert_eq!(globals["same"], Value::Bool(true));
    }
}

#[test]
fn one_run_cannot_reach_the_directory_of_another() {
    let service =
        service("sandboxes_per_worker = 2\n[limits]\nFSIZE = 1000\n[layers]\nmounts = 'off'");
    let waits = "import os, time\nopen('tmp/secret', 'w').write('s3cr3t')\n\
                 while not os.path.exists('tmp/go'): time.sleep(0.01)\nx = 1";
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| service.execute(waits));
        let path = service.wait_for_mark("secret");
        for attempt in [
            "open(path + '/tmp/secret')",
            "open(path + '/tmp/new', 'w')",
            "__import__('os').listdir(path)",
            "__import__('os').mkdir(path + '/tmp/go')",
        ] {
            let run = Run::new(attempt)
                .globals(json!({ "path": service.seen_inside(&path) }).to_string());
            let message = service.run(&run).emsg();
            assert!(
                message.contains("PermissionError: [Errno 13]"),
                "{attempt}: {message}"
            );
        }
        std::fs::create_dir(path.join("tmp/go")).expect("mkdir");
        assert_eq!(waiting.join().unwrap().success()["x"], json!(1));
    });
}

#[test]
fn one_run_cannot_change_the_files_of_another_or_of_the_service() {
    let service = service("sandboxes_per_worker = 2\n[layers]\nmounts = 'off'");
    let code = r"
import os, time
os.mkdir('tmp/secret')
while not os.path.exists('tmp/go'): time.sleep(0.01)
x = oct(os.stat('.').st_mode & 0o7777), oct(os.stat('tmp').st_mode & 0o7777)
";
    let attack = r"
import os
for path in paths:
    for attempt in (lambda: os.chmod(path, 0o755), lambda: os.utime(path, (1, 1))):
        try:
            attempt()
        except OSError:
            continue
        x = 'changed ' + path
";
    let own_file = service.dir().join("owned");
    std::fs::write(&own_file, "").expect("write");
    let owner = is_root().then_some(service.user());
    std::os::unix::fs::chown(&own_file, owner, owner).expect("chown");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| service.execute(code));
        let path = service.wait_for_mark("secret");
        let inside = service.seen_inside(&path);
        let paths = json!({ "paths": [inside, inside.join("tmp"), own_file] });
        let attacked = service
            .run(&Run::new(attack).globals(paths.to_string()))
            .success();
        std::fs::create_dir(path.join("tmp/go")).expect("mkdir");
        let modes = waiting.join().unwrap().success()["x"].take();
        assert_eq!(modes, json!(["0o775", "0o700"]));
        assert_eq!(attacked["x"], Value::Null);
    });
}
