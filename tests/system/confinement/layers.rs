//! What each layer is good for alone: with every other one left out, it stops what it is there for; with
//! all of them left out, nothing is stopped. The build that allows that is a build for tests.
//!
//! Services run as a user without rights, so that what succeeds here harms nobody. The uid layer, which
//! takes root and can't be left out there, is compared with that.

use codejail_harness::Run;
use codejail_harness::Service;
use codejail_harness::Setup;
use codejail_harness::binary::Build;
use codejail_harness::dir::make_writable;
use codejail_harness::processes::Process;
use codejail_harness::wait::END_MAX;
use codejail_harness::wait::wait_until;
use codejail_harness::{cgroups, needs_root};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};

const LAYERS: [&str; 6] = [
    "namespaces",
    "mounts",
    "landlock",
    "seccomp",
    "rlimits",
    "cgroup",
];

/// Each defines `attack`. `bait` is a directory of the host for everybody, `sleeper` a process of the same
/// user, `port` somebody who listens.
const ATTACKS: &[(&str, &str)] = &[
    (
        "read a file",
        "def attack(): assert open(bait + '/file').read() == 'precious'",
    ),
    ("list the root", "def attack(): assert os.listdir('/')"),
    (
        "write a file",
        "def attack(): open(bait + '/new', 'w').close(); os.unlink(bait + '/new')",
    ),
    ("ask about a file", "def attack(): os.stat(bait + '/file')"),
    (
        "fork",
        "def attack():\n    pid = os.fork()\n    if pid == 0: os._exit(0)\n    os.waitpid(pid, 0)",
    ),
    (
        "run a program",
        "def attack():\n    pid = os.posix_spawn('/bin/true', ['true'], {})\n\
         \x20   assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0",
    ),
    (
        "connect",
        "def attack(): socket.create_connection(('127.0.0.1', port), 2).close()",
    ),
    ("signal a process", "def attack(): os.kill(sleeper, 0)"),
    (
        "limit a process",
        "def attack(): resource.prlimit(sleeper, resource.RLIMIT_CORE, (0, 0))",
    ),
    ("take memory", "def attack(): bytearray(1 << 30)"),
    (
        "write a long file",
        "def attack():\n    f = os.open('tmp/long', os.O_CREAT | os.O_WRONLY)\n\
         \x20   os.pwrite(f, b'x', 1 << 20)",
    ),
    (
        "fill the disk",
        "def attack():\n    for n in range(40):\n        with open(f'tmp/{n}', 'wb') as f: f.write(bytes(100000))",
    ),
    (
        "make many files",
        "def attack():\n    for n in range(300): os.close(os.open(f'tmp/f{n}', os.O_CREAT))",
    ),
    // It leads nowhere, and takes no privilege.
    (
        "make a device",
        "def attack(): os.mknod('tmp/device', 0o20600, os.makedev(0, 0))",
    ),
];

const CODE: &str = r"
import os, resource, socket, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    attack()
    x = 'done'
except (OSError, MemoryError, AssertionError) as error:
    x = type(error).__name__
";

struct Baits {
    sleeper: Child,
    listener: TcpListener,
}

impl Baits {
    fn put(service: &Service) -> Self {
        let bait = service.dir().join("bait");
        fs::create_dir(&bait).expect("mkdir");
        fs::write(bait.join("file"), "precious").expect("write");
        make_writable(&bait);
        let sleeper = Command::new("sleep")
            .arg("300")
            .gid(service.user())
            .uid(service.user())
            .spawn()
            .expect("sleep");
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        Self { sleeper, listener }
    }

    fn globals(&self, service: &Service) -> String {
        json!({
            "bait": service.dir().join("bait"),
            "sleeper": self.sleeper.id(),
            "port": self.listener.local_addr().expect("an address").port(),
        })
        .to_string()
    }
}

impl Drop for Baits {
    fn drop(&mut self) {
        // It ends by itself too.
        let _ = self.sleeper.kill();
        let _ = self.sleeper.wait();
    }
}

/// A service with these layers alone, as a user without rights.
fn with_only(layers: &[&str]) -> Service {
    let modes = LAYERS.map(|layer| {
        let mode = if layers.contains(&layer) {
            "require"
        } else {
            "off"
        };
        format!("{layer} = '{mode}'")
    });
    let service = Service::launch(&Setup {
        overrides: &format!(
            "scratch_bytes_max = 3000000\nscratch_files_max = 200\n\
             [limits]\nVMEM = 200000000\nFSIZE = 200000\n[layers]\nuid = 'off'\n{}",
            modes.join("\n")
        ),
        unprivileged: true,
        build: Build::Sabotage,
        ..Setup::default()
    });
    service.wait_until_ready();
    service
}

fn landlock_abi(service: &Service) -> u32 {
    let health = service.get("/health/").json();
    let layers = health["layers"].as_array().expect("layers").iter();
    let mut details = layers.filter_map(|layer| layer["detail"].as_str());
    let abi = details.find_map(|detail| detail.strip_prefix("ABI "));
    abi.and_then(|abi| abi.parse().ok()).expect("an ABI")
}

/// The attacks that are stopped.
fn stopped(service: &Service) -> BTreeSet<&'static str> {
    let baits = Baits::put(service);
    let globals = baits.globals(service);
    let mut stopped = BTreeSet::new();
    for (name, attack) in ATTACKS {
        let run = Run::new(format!("{attack}\n{CODE}")).globals(globals.clone());
        let answer = service.run(&run);
        let outcome = answer.json()["globals_dict"]["x"].clone();
        assert!(outcome.is_string(), "{name}: {answer:?}");
        if outcome != "done" {
            stopped.insert(*name);
        }
    }
    stopped
}

#[test]
fn each_layer_alone_stops_what_it_is_there_for() {
    needs_root!();
    let expected: [(&[&str], &[&str]); 6] = [
        // Nothing is stopped by what is no layer: so each of these attacks is real.
        (&[], &[]),
        (
            &["namespaces"],
            &["connect", "limit a process", "signal a process"],
        ),
        (
            &["mounts"],
            &[
                "ask about a file",
                "fill the disk",
                "limit a process",
                "list the root",
                "make many files",
                "read a file",
                "run a program",
                "signal a process",
                "write a file",
            ],
        ),
        (
            &["landlock"],
            &[
                "connect",
                "list the root",
                "read a file",
                "run a program",
                "signal a process",
                "write a file",
            ],
        ),
        (
            &["seccomp"],
            &[
                "connect",
                "fork",
                "limit a process",
                "make a device",
                "run a program",
                "signal a process",
            ],
        ),
        (&["rlimits"], &["take memory", "write a long file"]),
    ];
    for (layers, attacks) in expected {
        let service = with_only(layers);
        let mut attacks: BTreeSet<&str> = attacks.iter().copied().collect();
        let mut stopped = stopped(&service);
        if *layers == ["landlock"] {
            // Linux 6.1 and 6.18 do, Debian's 6.12.117 does not.
            stopped.remove("make a device");
            // Networks since ABI 4 (Linux 6.7), signals since ABI 6 (Linux 6.12).
            let abi = landlock_abi(&service);
            attacks.retain(|attack| match *attack {
                "connect" => abi >= 4,
                "signal a process" => abi >= 6,
                _ => true,
            });
        }
        assert_eq!(stopped, attacks, "with {layers:?} alone");
    }
}

/// What a sandbox tries on the worker that forked it, which no layer but this keeps it from there.
const ON_THE_WORKER: &str = r"
import fcntl, os, resource, socket
worker = os.getppid()
def outcome(attempt, *arguments):
    try:
        attempt(*arguments)
    except OSError as error:
        return type(error).__name__
    return 'done'
x = {
    'kill': outcome(os.kill, worker, 0),
    'prlimit': outcome(resource.prlimit, worker, resource.RLIMIT_CORE, (0, 0)),
    'affinity': outcome(os.sched_setaffinity, worker, os.sched_getaffinity(0)),
    'scheduler': outcome(os.sched_setscheduler, worker, os.SCHED_BATCH, os.sched_param(0)),
    'priority': outcome(os.setpriority, os.PRIO_PROCESS, worker, 1),
    # Python takes a C int here, and a uid may be over 2^31.
    'priorities of a user': outcome(
        os.setpriority, os.PRIO_USER, (worker_uid ^ 1 << 31) - (1 << 31), 1
    ),
}
";

#[test]
fn a_uid_of_its_own_alone_keeps_a_sandbox_from_its_worker() {
    needs_root!();
    let none = LAYERS.map(|layer| format!("{layer} = 'off'")).join("\n");
    let outcomes = |unprivileged: bool| -> Value {
        let service = Service::launch(&Setup {
            overrides: &format!("[layers]\n{none}"),
            unprivileged,
            staged: true,
            build: Build::Sabotage,
            ..Setup::default()
        });
        service.wait_until_ready();
        let worker_uid = service.workers()[0].uid;
        let globals = json!({ "worker_uid": worker_uid }).to_string();
        let run = Run::new(ON_THE_WORKER).globals(globals);
        let outcomes = service.run(&run).success()["x"].take();
        // Renicing a whole user reaches the service itself, which shares it there.
        drop(service);
        outcomes
    };
    let every = |outcome: &str| {
        let names = [
            "kill",
            "prlimit",
            "affinity",
            "scheduler",
            "priority",
            "priorities of a user",
        ];
        let all = names.map(|name| (name.to_owned(), json!(outcome)));
        Value::Object(all.into_iter().collect())
    };
    assert_eq!(outcomes(true), every("done"));
    assert_eq!(outcomes(false), every("PermissionError"));
}

/// With all layers, as root and not: where sandbox and worker share a user seccomp keeps them apart.
#[test]
fn a_worker_is_out_of_its_sandboxes_reach_as_root_and_as_another_user() {
    let owner = "x['owner of signals'] = outcome(fcntl.fcntl, socket.socketpair()[0], fcntl.F_SETOWN, worker)\n\
                 x['number of signals'] = outcome(fcntl.fcntl, socket.socketpair()[0], 10, 9)";
    for unprivileged in [false, true] {
        let service = Service::launch(&Setup {
            unprivileged,
            staged: true,
            ..Setup::default()
        });
        service.wait_until_healthy();
        let worker = service.workers().remove(0);
        let globals = json!({ "worker_uid": worker.uid }).to_string();
        let run = Run::new(format!("{ON_THE_WORKER}\n{owner}")).globals(globals);
        let outcomes = service.run(&run).success()["x"].take();
        let outcomes = outcomes.as_object().expect("outcomes");
        assert_eq!(outcomes.len(), 8);
        let denied = |(_, outcome): (&String, &Value)| *outcome == json!("PermissionError");
        assert!(outcomes.iter().all(denied), "{outcomes:?}");
        assert_eq!(service.workers(), [worker]);
    }
}

#[test]
fn a_worker_and_its_sandboxes_are_in_a_cgroup_of_their_own_where_that_is_to_be_had() {
    let service = Service::start("");
    let health = service.get("/health/").json();
    let cgroup = health["layers"].as_array().expect("layers");
    let cgroup = cgroup.iter().find(|layer| layer["layer"] == "cgroup");
    if cgroup.expect("a cgroup layer")["on"] != json!(true) {
        println!("no cgroup here: {health}");
        return;
    }
    service.wait_for_processes(2 + 1 + 2);
    let family = service.processes();
    let of = |process: &Process| cgroups::of(process.pid).expect("cgroup v2");
    let groups: Vec<PathBuf> = family.iter().map(of).collect();
    // Supervisor, spawner; then the worker and its two sandboxes.
    assert!(groups[2].ends_with("worker-0"), "{groups:?}");
    assert!(
        groups[3..].iter().all(|group| *group == groups[2]),
        "{groups:?}"
    );
    assert!(
        groups[..2].iter().all(|group| *group != groups[2]),
        "{groups:?}"
    );
    let directory = groups[2].as_path();
    assert!(directory.is_dir(), "{directory:?}");
    drop(service);
    wait_until("its removal", END_MAX, || !directory.exists());
}

#[test]
fn an_ordinary_build_leaves_no_layer_out_that_every_host_has() {
    for layer in ["seccomp", "rlimits"] {
        let (status, said) = Service::fail_to_start(&format!("[layers]\n{layer} = 'off'"));
        assert_eq!(status, Some(78), "{said}");
        assert!(
            said.contains(&format!("layers.{layer} = \"off\"")),
            "{said}"
        );
        assert!(said.contains("must be require or auto"), "{said}");
    }
}
