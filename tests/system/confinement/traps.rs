//! Mistakes that are easy to make in a service of forked interpreters. docs/traps.md lists all of
//! them, with their tests. Here are those tests that belong to no other file.

use codejail_harness::Run;
use codejail_harness::Setup;
use codejail_harness::binary::Build;
use codejail_harness::http::post_payload;
use codejail_harness::own_python::OwnPython;
use codejail_harness::python::sandbox_python;
use codejail_harness::root::is_root;
use codejail_harness::{Service, needs_root};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// `PyOS_BeforeFork`, `PyOS_AfterFork_Parent` and `PyOS_AfterFork_Child` call the functions that
/// were registered for them. Without these calls CPython 3.13 aborts, and locks stay as they were.
/// Between them the C library forks, and calls the functions that malloc, OpenBLAS and OpenSSL gave
/// to `pthread_atfork`.
#[test]
fn a_fork_is_the_interpreters_own_before_it_and_on_both_sides() {
    let hooks = r"
import ctypes, os
calls = []
def hook(name): return lambda: calls.append(name)
os.register_at_fork(before=hook('before'), after_in_parent=hook('parent'), after_in_child=hook('child'))
# As `pthread_atfork` does, which no shared library has.
c_hooks = [ctypes.CFUNCTYPE(None)(hook(name)) for name in ['C before', 'C parent', 'C child']]
ctypes.CDLL(None).__register_atfork(*c_hooks, None)
";
    let python = OwnPython::venv(&[("hooks", hooks)]);
    let service = Service::start(&format!(
        "sandboxes_per_worker = 1\n{}",
        python.overrides(&["hooks"])
    ));
    for _ in 0..3 {
        let calls = service.value_of_x("import hooks; x = hooks.calls");
        let calls: Vec<String> = serde_json::from_value(calls).expect("names");
        let (before, own) = calls.split_last_chunk::<4>().expect("its own fork");
        assert_eq!(own, &["before", "C before", "C child", "child"]);
        // The other calls were made in the worker, when it forked earlier sandboxes.
        let siblings = before.chunks(4);
        assert!(siblings.len() > 0, "the startup checks were forked before");
        for sibling in siblings {
            assert_eq!(sibling, ["before", "C before", "C parent", "parent"]);
        }
    }
}

/// OpenBLAS starts its threads when numpy is imported, and a process with threads must not fork.
#[test]
fn libraries_of_linear_algebra_start_no_threads_in_the_environment_of_a_worker() {
    let preload = "import numpy, scipy.linalg";
    let service = Service::start("[python]\npreload = ['numpy', 'scipy.linalg']");
    let code = format!("{preload}\nimport os; x = dict(os.environ)");
    let given = service.value_of_x(&code);
    let mut env: BTreeMap<String, String> = serde_json::from_value(given).expect("texts");
    let threads = |env: &BTreeMap<String, String>| -> String {
        let count = format!(
            "{preload}\nstatus = open('/proc/self/status').read()\n\
             print(status.split('Threads:')[1].split()[0])"
        );
        let mut python = Command::new(sandbox_python());
        let said = python.env_clear().envs(env).args(["-c", &count]).output();
        String::from_utf8(said.expect("python").stdout).expect("text")
    };
    assert_eq!(threads(&env), "1\n");
    env.retain(|name, _| !name.ends_with("_NUM_THREADS"));
    if std::thread::available_parallelism().is_ok_and(|count| count.get() > 1) {
        assert_ne!(threads(&env), "1\n", "and without these variables they do");
    }
}

/// A developer's Python is often in such a directory, below a home directory.
#[test]
fn a_python_in_a_directory_that_others_cannot_enter_stops_the_start_by_name() {
    needs_root!();
    let python = OwnPython::venv(&[]);
    let dir = python.bin.ancestors().nth(2).expect("its venv").to_owned();
    let path = python.bin.display().to_string();
    for layers in ["", "[layers]\nmounts = 'off'\n"] {
        let overrides = format!("{layers}{}", python.overrides(&[]));
        fs::set_permissions(&dir, Permissions::from_mode(0o700)).expect("chmod");
        let (status, said) = Service::fail_to_start(&overrides);
        assert!(matches!(status, Some(69 | 78)), "{status:?}\n{said}");
        assert!(said.contains("Permission denied"), "{said}");
        assert!(said.contains(&path), "{said}");
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).expect("chmod");
        assert_eq!(Service::start(&overrides).value_of_x("x = 1"), json!(1));
    }
}

/// Libraries act on the errno. ENOSYS: the call does not exist, and the library does without it.
/// EAGAIN: there are too many processes. EACCES: the call is forbidden.
#[test]
fn each_sort_of_denied_call_has_its_own_errno() {
    if std::env::consts::ARCH != "x86_64" {
        return;
    }
    let code = r"
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def outcome(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) for a in arguments))
    return errno.errorcode[ctypes.get_errno()] if result == -1 else 'done'
SIGCHLD, THREAD = 17, 0x3d0f00
x = {name: outcome(*call) for name, call in {
    'getpid': [39], 'getpid of x32': [1 << 30 | 39],
    'fork': [57], 'vfork': [58], 'clone as fork': [56, SIGCHLD],
    'clone of a thread and a namespace': [56, THREAD | 0x20000],
    'clone of a thread without its signals': [56, THREAD & ~0x800],
    'clone3': [435], 'openat2': [437], 'io_uring_setup': [425], 'pidfd_getfd': [438], 'memfd_secret': [447],
    'a call of tomorrow': [470], 'a call in decades': [1023], 'a call that never was': [1024],
    'execve': [59], 'execveat': [322], 'mount': [165], 'ptrace': [101], 'connect': [42], 'memfd_create': [319],
    'inotify_init1': [294], 'mq_open': [240], 'shmget': [29], 'timer_create': [222], 'timerfd_create': [283],
    'sched_setaffinity': [203, 0], 'sched_setscheduler': [144, 0], 'setpriority': [141, 2, 0, 5],
    'prlimit of another': [302, 1, 4], 'sendmsg': [46], 'sendmmsg': [307], 'sendto somebody': [44, 0, 0, 0, 0, 1],
}.items()}
";
    let mut outcomes = Service::start("").value_of_x(code);
    let outcomes = outcomes.as_object_mut().expect("outcomes");
    let with = |errno: &str| -> Vec<&str> {
        let of = |(_, found): &(&String, &Value)| *found == errno;
        outcomes
            .iter()
            .filter(of)
            .map(|(name, _)| name.as_str())
            .collect()
    };
    assert_eq!(with("done"), ["getpid"]);
    assert_eq!(
        with("ENOSYS"),
        [
            "a call in decades",
            "a call of tomorrow",
            "clone3",
            "io_uring_setup",
            "memfd_secret",
            "openat2",
            "pidfd_getfd"
        ]
    );
    assert_eq!(
        with("EAGAIN"),
        [
            "clone as fork",
            "clone of a thread and a namespace",
            "clone of a thread without its signals",
            "fork",
            "vfork"
        ]
    );
    assert_eq!(
        with("EACCES").len(),
        outcomes.len() - 1 - 7 - 5,
        "{outcomes:?}"
    );
}

/// Where `core_pattern` names a program, that program gets the memory of a crashed process even if
/// CORE is 0. So another rule must prevent it. Here CORE has no limit, and a child says whether it
/// was dumped.
#[test]
fn a_crash_leaves_no_memory_behind_even_where_core_dumps_have_no_limit() {
    let crash = r"
import ctypes, os, resource
def dumped(dumpable):
    pid = os.fork()
    if pid == 0:
        os.chdir('tmp')
        if dumpable: ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
        os.abort()
    return os.WCOREDUMP(os.waitpid(pid, 0)[1])
x = [resource.getrlimit(resource.RLIMIT_CORE)[0], ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), dumped(False), dumped(True)]
";
    // 3 is PR_GET_DUMPABLE. 4 is PR_SET_DUMPABLE, which is denied.
    let asked = "import ctypes; p = ctypes.CDLL(None).prctl; x = [p(3, 0, 0, 0, 0), p(4, 1, 0, 0, 0), p(3, 0, 0, 0, 0)]";
    assert_eq!(Service::start("").value_of_x(asked), json!([0, -1, 0]));
    needs_root!();
    let without = Service::launch(&Setup {
        overrides: "[limits]\nFSIZE = 1000000000\n[layers]\nseccomp = 'off'\nrlimits = 'off'",
        starter: &["sh", "-c", "ulimit -c unlimited && exec \"$@\"", "sh"],
        build: Build::Sabotage,
        ..Setup::default()
    });
    without.wait_until_ready();
    let outcome = without.value_of_x(crash);
    assert_eq!(outcome[0], json!(-1), "no limit: {outcome}");
    assert_eq!(outcome[1], json!(0));
    assert_eq!(outcome[2], json!(false), "{outcome}");
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").expect("core_pattern");
    // A path of the host does not exist for a run, so nothing can be written there.
    if !pattern.starts_with('/') {
        assert_eq!(outcome[3], json!(true), "{pattern}: {outcome}");
    }
}

/// A run's process counts until the worker has waited for it.
#[test]
fn what_has_ended_takes_nothing_of_the_next_runs_number_of_threads() {
    let service = Service::start("sandboxes_per_worker = 1\n[limits]\nNPROC = 2");
    let thread = "import os, threading\n\
                  t = threading.Thread(target=os.getuid); t.start(); t.join(); x = os.getuid()";
    let mut uids = Vec::new();
    for _ in 0..60 {
        // It crashes while a second thread runs: both must be gone.
        let crash = "import os, threading, time\n\
                     threading.Thread(target=time.sleep, args=(60,)).start(); os.abort()";
        let emsg = service.execute(crash).emsg();
        assert!(emsg.ends_with("status code: -6"), "{emsg}");
        uids.push(service.value_of_x(thread).to_string());
    }
    uids.sort();
    uids.dedup();
    assert!(uids.len() < 10, "the same users again and again: {uids:?}");
    if !is_root() {
        // The kernel counts all processes of the user together, so the service adds the number of
        // the other processes to the limit.
        return;
    }
    let more = "import threading, time\n\
                for _ in range(2): threading.Thread(target=time.sleep, args=(1,)).start()";
    let emsg = service.execute(more).emsg();
    assert!(emsg.contains("start new thread"), "{emsg}");
}

#[test]
fn a_request_has_no_say_in_what_is_preloaded() {
    let service = Service::start("");
    let code = "import sys; x = 'colorsys' in sys.modules";
    for key in ["preload", "python", "modules"] {
        let text = json!({ "code": code, "globals_dict": {}, key: ["colorsys"] }).to_string();
        for _ in 0..3 {
            let answer = post_payload(service.address, &text);
            assert_eq!(answer.success()["x"], json!(false), "{key}");
        }
    }
    let run = Run::new(code).globals(r#"{"preload": ["colorsys"]}"#);
    assert_eq!(service.run(&run).success()["x"], json!(false));
    drop(service);
    let told = Service::start("[python]\npreload = ['colorsys']");
    let code = "import gc, types\n\
                x = 'colorsys' in [o.__name__ for o in gc.get_objects() if isinstance(o, types.ModuleType)]";
    assert_eq!(
        told.value_of_x(&format!("import gc; gc.unfreeze()\n{code}")),
        json!(true)
    );
}
