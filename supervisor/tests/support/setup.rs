//! What a service of a test is started with: its configuration, its uids, its directory, its binary.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

/// Uids from here on, of which nothing else on a test machine has any: each test process has 100,000
/// of them by its pid, each of its services 1,000.
const UIDS: u32 = 350_000_000;

/// What a test doesn't say otherwise. Quick to warm up; limits that a loaded machine keeps.
const DEFAULTS: &str = r#"
bind = "127.0.0.1:0"
enabled = true
workers = 1
max_requests = 0
queue_wait_max_ms = 30000
[limits]
CPU = 10
REALTIME = 20
[limit_overrides.short]
REALTIME = 0.3
"#;

pub type Log = Arc<Mutex<String>>;

/// How a service is to be started.
#[derive(Debug, Default)]
pub struct Setup<'a> {
    /// TOML, over the defaults.
    pub overrides: &'a str,
    /// Another user than this one.
    pub uid: Option<u32>,
    /// Copies of binary and module that any user can read.
    pub staged: bool,
    /// The build whose layers can be left out, and which executes although its checks fail.
    pub sabotage: bool,
    /// A program that starts it, with arguments; it must become the service by exec.
    pub starter: &'a [&'a str],
    /// More variables of its environment.
    pub env: &'a [(&'a str, &'a str)],
}

/// The interpreter of the sandboxes.
pub fn sandbox_python() -> PathBuf {
    let given = std::env::var_os("CODEJAIL_SANDBOX_PYTHON");
    given.map_or_else(|| PathBuf::from("/sandbox/venv/bin/python"), PathBuf::from)
}

pub fn scratch_directories(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("scratch")).expect("the scratch root");
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

/// A service that is not yet known to run: if that fails, neither its process nor its directory stays.
#[derive(Debug)]
pub struct Starting {
    pub uid_base: u32,
    pub dir: PathBuf,
    pub log: Log,
    process: Option<Child>,
}

impl Starting {
    pub fn new(setup: &Setup<'_>) -> Self {
        let uid_base = next_uids();
        let dir = make_dir(uid_base);
        let (process, log) = spawn(setup, &dir, uid_base);
        let process = Some(process);
        Self {
            uid_base,
            dir,
            log,
            process,
        }
    }

    /// Its status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let process = self.process.as_mut()?;
        process.try_wait().expect("wait")
    }

    /// It runs: process and directory are the caller's from here on.
    pub fn started(mut self) -> (Child, PathBuf) {
        let process = self.process.take().expect("it was started");
        (process, self.dir.clone())
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        // Its spawner removes the rest; what it can't is not worth a second failure.
        let _ = process.kill();
        let _ = process.wait();
        for _ in 0..1000 {
            if fs::remove_dir_all(&self.dir).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

fn next_uids() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let service = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(
        service < 100,
        "more services than a test process has uids for"
    );
    UIDS + std::process::id() % 39_000 * 100_000 + service * 1000 + 1
}

/// Everybody may come through; the scratch root is as `/tmp`.
fn make_dir(uid_base: u32) -> PathBuf {
    let dir = PathBuf::from(format!("/tmp/cj-test-{uid_base}"));
    for (path, mode) in [(dir.clone(), 0o755), (dir.join("scratch"), 0o1777)] {
        fs::create_dir(&path).expect("mkdir");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("chmod");
    }
    dir
}

fn spawn(setup: &Setup<'_>, dir: &Path, uid_base: u32) -> (Child, Log) {
    let file = dir.join("codejail.toml");
    fs::write(&file, configuration(setup, dir, uid_base)).expect("write");
    let starter = setup.starter.iter().map(PathBuf::from);
    let mut words = starter.chain([binary(setup, dir)]);
    let mut command = Command::new(words.next().expect("a program"));
    command
        .args(words)
        .args(["serve", "--config"])
        .arg(file)
        .env("CJS_TEST_ENV_LEAKAGE", "yes")
        .env("RUST_LOG", "info")
        .envs(setup.env.iter().copied())
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    if let Some(uid) = setup.uid {
        command.gid(uid).uid(uid);
    }
    let mut process = command.spawn().expect("start the service");
    let log = Log::default();
    let stderr = BufReader::new(process.stderr.take().expect("a pipe"));
    let kept = Arc::clone(&log);
    std::thread::spawn(move || {
        for line in stderr.split(b'\n').map_while(Result::ok) {
            let mut log = kept.lock().unwrap();
            log.push_str(&String::from_utf8_lossy(&line));
            log.push('\n');
        }
    });
    (process, log)
}

const MODULE: &str = "libcodejail_worker.so";

/// The service as `CODEJAIL_BIN` says or as cargo has built it; the worker module lies beside it.
fn binary(setup: &Setup<'_>, dir: &Path) -> PathBuf {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
        std::env::var_os("CODEJAIL_BIN").map_or_else(with_module_beside, PathBuf::from)
    });
    static SABOTAGE: LazyLock<PathBuf> = LazyLock::new(|| {
        std::env::var_os("CODEJAIL_SABOTAGE_BIN").map_or_else(build_sabotage, PathBuf::from)
    });
    let binary = if setup.sabotage { &*SABOTAGE } else { &*BINARY };
    if !setup.staged {
        return binary.clone();
    }
    let staged = dir.join("codejail");
    let module = binary.with_file_name(MODULE);
    for (from, to) in [(binary, staged.clone()), (&module, dir.join(MODULE))] {
        fs::copy(from, &to).expect("copy");
        fs::set_permissions(&to, Permissions::from_mode(0o755)).expect("chmod");
    }
    staged
}

/// `cargo test` builds the binary, but of the worker only its unit tests: the module that the binary
/// loads must be asked for, or an old one would be tested.
fn with_module_beside() -> PathBuf {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_codejail"));
    let profile_dir = binary.parent().expect("a profile's directory");
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "codejail-worker"])
        .args(["--profile", profile, "--target-dir"])
        .arg(profile_dir.parent().expect("a target directory"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo");
    assert!(built.success(), "the worker module can't be built");
    binary
}

/// The build in which layers can be left out, in a directory of its own beside the others.
fn build_sabotage() -> PathBuf {
    let target = PathBuf::from(env!("CARGO_BIN_EXE_codejail"));
    let target = target
        .ancestors()
        .nth(2)
        .expect("a target directory")
        .join("sabotage");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--locked", "--target-dir"])
        .arg(&target)
        .args(["--package", "codejail", "--package", "codejail-worker"])
        .args(["--features", "codejail-protocol/sabotage"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo");
    assert!(built.success(), "the sabotage build can't be made");
    target.join("release/codejail")
}

fn configuration(setup: &Setup<'_>, dir: &Path, uid_base: u32) -> String {
    let own = format!(
        "user = \"{}\"\n[python]\nbin = {:?}\n[sandbox]\nuid_base = {uid_base}\nscratch_dir = {:?}",
        uid_base - 1,
        sandbox_python(),
        dir.join("scratch"),
    );
    // Who is not root can't look into a worker's root to see what a run has written.
    let visible = if nix::unistd::geteuid().is_root() {
        ""
    } else {
        "layers.mounts = 'off'"
    };
    let mut config = toml::Table::new();
    for text in [DEFAULTS, &own, visible, setup.overrides] {
        merge(&mut config, text.parse().expect("TOML"));
    }
    config.to_string()
}

/// Changes the file of a service that runs.
pub fn reconfigure(dir: &Path, overrides: &str) {
    let file = dir.join("codejail.toml");
    let text = fs::read_to_string(&file).expect("read");
    let mut config: toml::Table = text.parse().expect("TOML");
    merge(&mut config, overrides.parse().expect("TOML"));
    fs::write(&file, config.to_string()).expect("write");
}

fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}
