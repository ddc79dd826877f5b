//! What each layer can do alone: with all other layers left out, it stops its own attacks; with all
//! layers left out, nothing is stopped. Only a build for tests allows that.
//!
//! The services run as a user without rights, so an attack that succeeds here does no harm. The uid
//! layer takes root, so it is not among these layers.

use codejail_harness::Run;
use codejail_harness::Service;
use codejail_harness::Setup;
use codejail_harness::binary::Build;
use codejail_harness::dir::make_writable;
use codejail_harness::needs_root;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

pub const LAYERS: [&str; 6] = [
    "namespaces",
    "mounts",
    "landlock",
    "seccomp",
    "rlimits",
    "cgroup",
];

/// The name and the code of each attack. The code defines `attack`. `decoy` is a directory of the
/// host that everybody may use, `sleeper` a process of the same user, `port` the port of a
/// listener.
const ATTACKS: &[(&str, &str)] = &[
    (
        "read a file",
        "def attack(): assert open(decoy + '/file').read() == 'precious'",
    ),
    ("list the root", "def attack(): assert os.listdir('/')"),
    (
        "write a file",
        "def attack(): open(decoy + '/new', 'w').close(); os.unlink(decoy + '/new')",
    ),
    ("ask about a file", "def attack(): os.stat(decoy + '/file')"),
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
    // This device does nothing, and making it takes no privilege.
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

struct Decoys {
    sleeper: Child,
    listener: TcpListener,
}

impl Decoys {
    fn put(service: &Service) -> Self {
        let decoy = service.dir().join("decoy");
        fs::create_dir(&decoy).expect("mkdir");
        fs::write(decoy.join("file"), "precious").expect("write");
        make_writable(&decoy);
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
            "decoy": service.dir().join("decoy"),
            "sleeper": self.sleeper.id(),
            "port": self.listener.local_addr().expect("an address").port(),
        })
        .to_string()
    }
}

impl Drop for Decoys {
    fn drop(&mut self) {
        // If `kill` fails, `sleep` still ends by itself.
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
    let decoys = Decoys::put(service);
    let globals = decoys.globals(service);
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
        // Without any layer nothing is stopped: so each of these attacks is real.
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
            // Landlock stops this attack on Linux 6.1 and 6.18, but not on Debian's 6.12.117.
            stopped.remove("make a device");
            // Landlock has networks since ABI 4 (Linux 6.7), and signals since ABI 6 (Linux 6.12).
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
