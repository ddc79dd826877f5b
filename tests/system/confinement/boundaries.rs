//! Each layer denies its own attacks. Where the configuration can open a layer or leave it out, the
//! same attempt then succeeds: this shows that the layer denied it.

use crate::answers::NOT_CONFIGURED;
use codejail_harness::Run;
use codejail_harness::dir::make_writable;
use codejail_harness::python::library;
use codejail_harness::root::is_root;
use codejail_harness::wait::{START_MAX, wait_for};
use codejail_harness::{Service, Setup};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;

/// Tries each of a list of attempts and notes how it went.
const OUTCOME: &str = r"
import os
def outcome(attempt, *args):
    try:
        attempt(*args)
    except OSError as error:
        return type(error).__name__
    return 'done'
";

fn with_outcome(code: &str) -> String {
    format!("{OUTCOME}\n{code}")
}

#[test]
fn landlock_denies_reading_what_is_not_configured() {
    let code = with_outcome(
        "x = [outcome(os.listdir, '/usr/share'), outcome(open, '/usr/share/common-licenses/BSD')]",
    );
    let closed = Service::start("");
    assert_eq!(
        closed.value_of_x(&code),
        json!(["PermissionError", "PermissionError"])
    );
    let open = Service::start("[python]\nread_paths = ['/usr/share']");
    assert_eq!(open.value_of_x(&code), json!(["done", "done"]));
}

#[test]
fn without_landlock_and_a_root_of_its_own_the_startup_check_refuses_to_execute() {
    let service = Service::launch(&Setup {
        overrides: "[layers]\nlandlock = 'off'\nmounts = 'off'",
        ..Setup::default()
    });
    let health = wait_for("the startup check", START_MAX, || {
        let health = service.get("/health/");
        health.json()["checks"].is_array().then_some(health)
    });
    assert_eq!(health.status, 503);
    let health = health.json();
    assert_eq!(health["status"], "UNAVAILABLE");
    let failed = |id| service.check_failure(id);
    // The message contains the listing of the root directory: no layer denied it.
    assert!(failed("disk").is_some_and(|failure| failure.contains("usr")));
    // As root, each sandbox has a user of its own. That alone keeps files apart.
    assert_eq!(failed("files").is_none(), is_root(), "{health}");
    for id in ["functionality", "exec", "network"] {
        assert_eq!(failed(id), None, "{health}");
    }
    let refused = service.execute("x = 1");
    assert_eq!(refused.status, 500);
    assert_eq!(refused.json(), json!({"error": NOT_CONFIGURED}));
    assert_eq!(service.get("/readyz").status, 503);
}

#[test]
fn each_process_has_a_user_of_its_own_and_no_way_back() {
    let service = Service::start("workers = 2");
    let code = with_outcome(
        "x = [*os.getresuid(), *os.getresgid()]; y = os.getgroups()\n\
         z = [outcome(f, n) for f in (os.setuid, os.setgid, os.seteuid, os.setegid) for n in (0, base)]\n\
         z += [outcome(os.setgroups, [0]), outcome(os.chown, 'tmp', base, base)]",
    );
    let mut users = BTreeSet::new();
    for _ in 0..20 {
        let run = Run::new(code.as_str()).globals(json!({"base": service.uid_base()}).to_string());
        let globals = service.run(&run).success();
        let ids: BTreeSet<u64> = globals["x"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_u64)
            .collect();
        assert_eq!(
            ids.len(),
            1,
            "real, effective, saved, user and group: {globals}"
        );
        let outcomes = globals["z"].as_array().unwrap();
        assert!(
            outcomes.len() == 10 && !outcomes.contains(&json!("done")),
            "{globals}"
        );
        users.extend(ids);
        if is_root() {
            assert_eq!(globals["y"], json!([]));
        }
    }
    let uids = |processes: Vec<codejail_harness::processes::Process>| -> BTreeSet<u64> {
        processes.iter().map(|process| process.uid.into()).collect()
    };
    let workers = uids(service.workers());
    let service_uid = u64::from(service.processes()[0].uid);
    if is_root() {
        let range = u64::from(service.uid_base())..u64::from(service.uid_base()) + 999;
        assert!(
            users.iter().chain(&workers).all(|uid| range.contains(uid)),
            "{users:?}"
        );
        assert_eq!(workers.len(), 2, "each worker has its own");
        assert!(users.is_disjoint(&workers), "{users:?} {workers:?}");
        assert_eq!(service_uid, u64::from(service.uid_base() - 1));
        assert_eq!(service.spawner().uid, 0);
    } else {
        assert_eq!(users, [service_uid].into());
    }
}

#[test]
fn workers_live_in_namespaces_of_their_own_unless_these_are_off() {
    let code = "import os; x = os.getpid(); y = os.getppid()";
    let own = Service::start("[layers]\nnamespaces = 'require'");
    let inside = own.execute(code).success();
    assert!(inside["x"].as_u64().unwrap() < 100, "{inside}");
    assert_eq!(
        inside["y"],
        json!(1),
        "the worker is its namespace's first process"
    );
    let shared = Service::start("[layers]\nnamespaces = 'off'\nmounts = 'off'");
    let outside = shared.execute(code).success();
    let worker = shared.workers()[0].pid;
    assert_eq!(outside["y"], json!(worker));
    if is_root() {
        for kind in ["pid_for_children", "net", "ipc", "uts", "mnt"] {
            let of = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
            let (here, inside) = (of(own.pid()), of(own.workers()[0].pid));
            assert_ne!(here, inside, "{kind}");
            assert_eq!(here, of(worker), "{kind}");
        }
    }
}

#[test]
fn a_sandbox_holds_its_standard_streams_and_its_status_pipe_and_nothing_else() {
    let service = Service::start("sandboxes_per_worker = 2");
    let code = "import os, stat\nx, y = [], []\n\
                for fd in range(256):\n  \
                try: mode = os.fstat(fd).st_mode\n  \
                except OSError: continue\n  \
                x.append(fd); y.append(stat.S_ISFIFO(mode))";
    for _ in 0..10 {
        let globals = service.execute(code).success();
        assert_eq!(globals["x"], json!([0, 1, 2, 63]));
        assert_eq!(globals["y"], json!(vec![true; 4]));
    }
}

#[test]
fn the_environment_is_the_services_fixed_one() {
    let service = Service::start("[python]\nenv = { EXTRA = 'given' }");
    let environment = service.value_of_x("import os; x = dict(os.environ)");
    let environment = environment.as_object().unwrap().clone();
    let names: Vec<&str> = environment.keys().map(String::as_str).collect();
    let expected = "EXTRA HOME LC_CTYPE LOGNAME MKL_NUM_THREADS NUMEXPR_NUM_THREADS OMP_NUM_THREADS \
                    OPENBLAS_NUM_THREADS PATH SHELL TMPDIR USER";
    assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
    assert_eq!(environment["TMPDIR"], "tmp");
    assert_eq!(environment["EXTRA"], "given");
    // C's own list of the environment has no variable of the service, and a run can't read the
    // kernel's list.
    let leak = "import ctypes, os\nenviron = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), 'environ')\n\
                x = []\nwhile environ[len(x)]: x.append(environ[len(x)].decode())";
    let seen_by_c = service.value_of_x(leak).to_string();
    assert!(seen_by_c.contains("TMPDIR=tmp"), "{seen_by_c}");
    assert!(!seen_by_c.contains("CJS_TEST_ENV_LEAKAGE"), "{seen_by_c}");
    for pid in ["self", "1", &service.pid().to_string()] {
        let file = format!("/proc/{pid}/environ");
        let message = service.execute(&format!("open('{file}')")).emsg();
        assert!(message.contains("PermissionError"), "{message}");
    }
}

#[test]
fn nothing_can_be_written_outside_tmp() {
    let service = Service::start("[limits]\nFSIZE = 1000");
    let zip = library("course_lib", "");
    let code = with_outcome(
        r"
import shutil
O = os
def write(path, mode='w'):
    open(path, mode).close()
def contents():
    return [open(n, 'rb').read() for n in ('jailed_code', 'python_lib.zip')]
def opened(path, flags):
    os.close(os.open(path, flags, 0o666))
before = contents()
attempts = {}
for name in ('jailed_code', 'python_lib.zip'):
    for what, attempt in {
        'write': lambda: write(name), 'append': lambda: write(name, 'a'), 'update': lambda: write(name, 'r+'),
        'truncate': lambda: O.truncate(name, 0), 'empty': lambda: opened(name, O.O_RDONLY | O.O_TRUNC),
        'unlink': lambda: O.unlink(name), 'rename': lambda: O.rename(name, 'tmp/taken'),
        'replace': lambda: (write('tmp/new'), O.rename('tmp/new', name)), 'chmod': lambda: O.chmod(name, 0o777),
        'chown': lambda: O.chown(name, O.getuid(), O.getgid()), 'utime': lambda: O.utime(name, (1, 1)),
        'by symlink': lambda: (O.symlink('../' + name, 'tmp/s' + name), write('tmp/s' + name)),
        'by hard link': lambda: (O.link(name, 'tmp/h' + name), write('tmp/h' + name)),
    }.items():
        attempts[what + ' ' + name] = outcome(attempt)
for what, attempt in {
    'new file': lambda: write('new'), 'new directory': lambda: O.mkdir('new'), 'new link': lambda: O.symlink('tmp', 'new'),
    'new fifo': lambda: O.mkfifo('new'), 'tmp away': lambda: O.rename('tmp', 'away'), 'tmp out': lambda: O.rename('tmp', '../away'),
    'no tmp': lambda: O.rmdir('tmp'), 'root': lambda: write('/new'), '/tmp': lambda: write('/tmp/codejail-new'),
    '/dev/shm': lambda: write('/dev/shm/new'), '/var/tmp': lambda: write('/var/tmp/new'), 'beside': lambda: write('../new'),
    'device': lambda: O.mknod('tmp/null', 0o20666, O.makedev(1, 3)), 'chroot': lambda: O.chroot('tmp'),
    'out by tmp': lambda: write('tmp/../new'), 'set uid': lambda: O.chmod('.', 0o777),
}.items():
    attempts[what] = outcome(attempt)
write('tmp/file'); os.mkdir('tmp/directory'); os.rename('tmp/file', 'tmp/directory/file')
shutil.rmtree('tmp/directory'); os.unlink('tmp/new')
x = {what: how for what, how in attempts.items() if how == 'done'}
count = len(attempts)
y = before == contents() and [len(c) > 100 for c in before] == [True, True]
",
    );
    let globals = service.run(&Run::new(code).library(zip)).success();
    let mut done = globals["x"].as_object().unwrap().clone();
    if !is_root() {
        // These files belong to the sandbox's own user, and Landlock can't deny changes of modes,
        // owners and times.
        done.retain(|what, _| {
            !["chmod", "chown", "utime", "set uid"]
                .iter()
                .any(|own| what.starts_with(own))
        });
    }
    assert!(done.is_empty(), "not denied: {done:?}");
    assert_eq!(globals["count"], json!(42));
    assert_eq!(globals["y"], json!(true));
}

#[test]
fn the_devices_that_programs_expect_are_there() {
    let code = "def read(path):\n    with open(path, 'rb', 0) as file: return len(file.read(10))\n\
                x = [read('/dev/' + name) for name in ('null', 'zero', 'urandom')]\n\
                with open('/dev/null', 'w') as file: x.append(file.write('gone'))";
    for layers in ["", "[layers]\nmounts = 'off'"] {
        let service = Service::start(layers);
        assert_eq!(service.value_of_x(code), json!([0, 10, 10, 4]), "{layers}");
    }
}

#[test]
fn links_lead_nowhere_not_even_when_they_are_cleaned_up() {
    let service = Service::start("[limits]\nFSIZE = 1000");
    let victim = service.dir().join("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("file"), "precious").unwrap();
    make_writable(&victim);
    let code = with_outcome(
        r"
x = []
for name, target in {'a': victim, 'b': victim + '/file', 'c': '/', 'd': '..', 'e': '/etc/passwd'}.items():
    os.symlink(target, 'tmp/' + name)
    x += [outcome(open, 'tmp/' + name), outcome(os.listdir, 'tmp/' + name), outcome(open, 'tmp/' + name + '/new', 'w')]
os.makedirs('tmp/closed/inner'); os.symlink(victim, 'tmp/closed/inner/link'); outcome(os.chmod, 'tmp/closed', 0)
",
    );
    let globals = json!({"victim": victim});
    let globals = service
        .run(&Run::new(code).globals(globals.to_string()))
        .success();
    let outcomes = globals["x"].as_array().unwrap();
    assert_eq!(outcomes.len(), 15);
    // The `..` of tmp is the run's own directory, which the run may list.
    let done = outcomes.iter().filter(|outcome| *outcome == "done").count();
    assert_eq!(done, 1, "{globals}");
    wait_for("its directory's removal", START_MAX, || {
        // The last number is the directory for files that wait to be removed.
        (service.scratch_directories().len() == 1 + 2 + 1).then_some(())
    });
    assert_eq!(fs::read_to_string(victim.join("file")).unwrap(), "precious");
}
