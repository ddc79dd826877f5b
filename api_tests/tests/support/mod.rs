//! Starts the real service for the probes, in a directory and with uids of its own, and ends it.

// Every test file is a crate of its own and uses its part of this.
#![allow(dead_code)]

pub mod runs;

use codejail_api_tests::client::{Client, Request};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, mpsc};
use std::time::{Duration, Instant};

/// Uids from here on, of which nothing else on a test machine has any: each test process has 100,000
/// of them by its pid, as in the supervisor's tests, and each of its services 1,000.
const UIDS: u32 = 350_000_000;

/// A start takes a second on an idle machine, with what is preloaded.
const START_MAX: Duration = Duration::from_secs(90);

const MODULE: &str = "libcodejail_worker.so";

/// What a service of these tests has; the probes are told the limits.
const CONFIGURATION: &str = r#"
bind = "127.0.0.1:0"
enabled = true
workers = 2
sandboxes_per_worker = 2
queue_wait_max_ms = 30000
scratch_bytes_max = 2097152
scratch_files_max = 1000
[limits]
CPU = 2
REALTIME = 3
VMEM = 268435456
FSIZE = 65536
NPROC = 15
"#;

/// Libraries that take a second to import, which is more than a run should need here.
const PRELOAD: &[&str] = &["numpy", "scipy", "sympy", "calc", "chem.chemcalc"];

/// `CODE_JAIL`'s limits of these services.
pub const LIMITS: &[(&str, u64)] = &[
    ("CPU", 2),
    ("REALTIME", 3),
    ("VMEM", 268_435_456),
    ("FSIZE", 65_536),
    ("NPROC", 15),
    ("SPACE", 2_097_152),
    ("INODES", 1000),
];

/// How a service is started.
#[derive(Debug, Default, Clone, Copy)]
pub struct Setup<'a> {
    /// As another user than root.
    pub unprivileged: bool,
    /// Layers that are left out; any, by a build for tests.
    pub off: &'a [&'a str],
}

/// A service that runs until this is dropped.
pub struct Service {
    pub address: SocketAddr,
    /// Whose its HTTP side is: where it is not started as root, whose everything is.
    pub uid: u32,
    /// Lines of `codejail check`, one for each layer.
    pub layers: Vec<String>,
    process: Child,
    /// Its configuration and its scratch root; removed last.
    _dir: Dir,
}

/// A directory that is removed when this is dropped.
pub struct Dir(PathBuf);

impl std::ops::Deref for Dir {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            // A second panic would hide what the test failed for.
            say(&format!("{}: {error}\n", self.0.display()));
        }
    }
}

impl Service {
    /// Starts one, as another user than root if `unprivileged`, and waits until it is healthy.
    pub fn start(Setup { unprivileged, off }: Setup<'_>) -> Self {
        let uid_base = next_uids();
        let (dir, uid) = (make_dir(uid_base), uid_base - 1);
        let as_user = (unprivileged && is_root()).then_some(uid);
        let config = dir.join("codejail.toml");
        let own = format!(
            "user = \"{uid}\"\n{CONFIGURATION}\n[python]\nbin = {:?}\npreload = {PRELOAD:?}\n\
             [sandbox]\nuid_base = {uid_base}\nscratch_dir = {:?}\n[layers]\n{}",
            sandbox_python(),
            dir.join("scratch"),
            off.iter()
                .map(|layer| format!("{layer} = 'off'\n"))
                .collect::<String>(),
        );
        fs::write(&config, own).expect("write");
        let binary = staged_binary(&dir, !off.is_empty());
        let mut process = command(&binary, "serve", &config, as_user)
            .stderr(Stdio::piped())
            .spawn()
            .expect("start the service");
        let stderr = process.stderr.take().expect("a pipe");
        let Some(address) = address(stderr).filter(wait_until_ready) else {
            end(&mut process);
            panic!("the service did not get ready");
        };
        let layers = layers(&binary, &config, as_user);
        Self {
            address,
            uid: as_user.unwrap_or(if is_root() { uid } else { geteuid().as_raw() }),
            layers,
            process,
            _dir: dir,
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

fn end(process: &mut Child) {
    terminate(process);
    let _ = process.wait();
}

/// Asks it to end.
pub fn terminate(process: &Child) {
    let pid = i32::try_from(process.id()).expect("a pid");
    // It may have ended by itself; its status tells.
    let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
}

fn command(binary: &Path, what: &str, config: &Path, uid: Option<u32>) -> Command {
    let mut command = Command::new(binary);
    command
        .args([what, "--config"])
        .arg(config)
        .env("CJS_TEST_ENV_LEAKAGE", "yes")
        .env("RUST_LOG", "info")
        .stdin(Stdio::null());
    if let Some(uid) = uid {
        command.gid(uid).uid(uid);
    }
    command
}

/// Whether it would execute, before it is too late.
fn wait_until_ready(address: &SocketAddr) -> bool {
    let deadline = Instant::now() + START_MAX;
    while Instant::now() < deadline {
        let asked = Client::new(*address, false).ask(&Request::get("/readyz"));
        if asked.is_ok_and(|(status, _)| status == 200) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// The address. Its log's warnings are shown, and the rest is read.
fn address(stderr: impl std::io::Read + Send + 'static) -> Option<SocketAddr> {
    let (sends, receives) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some((_, text)) = line.split_once("listening on ") {
                let address = text.split_whitespace().next();
                let _ = sends.send(address.and_then(|address| address.parse().ok()));
            }
            if line.contains("ERROR") || line.contains("WARN") {
                eprintln!("{line}");
            }
        }
    });
    receives.recv_timeout(START_MAX).ok().flatten()
}

fn layers(binary: &Path, config: &Path, uid: Option<u32>) -> Vec<String> {
    let check = command(binary, "check", config, uid)
        .output()
        .expect("check");
    let text = String::from_utf8_lossy(&check.stdout).into_owned();
    let lines = text.lines().filter(|line| line.starts_with("layer "));
    lines.map(str::to_owned).collect()
}

pub fn is_root() -> bool {
    geteuid().is_root()
}

/// Says it to whoever watches the tests, also where they pass.
pub fn say(text: &str) {
    std::io::stderr()
        .write_all(text.as_bytes())
        .expect("stderr");
}

/// The interpreter of the sandboxes.
pub fn sandbox_python() -> PathBuf {
    let given = std::env::var_os("CODEJAIL_SANDBOX_PYTHON");
    given.map_or_else(|| PathBuf::from("/sandbox/venv/bin/python"), PathBuf::from)
}

/// The first of a thousand that nobody has.
pub fn next_uids() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let user = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(user < 100, "more than a test process has uids for");
    UIDS + std::process::id() % 39_000 * 100_000 + user * 1000 + 1
}

/// Everybody may come through; the scratch root is as `/tmp`.
pub fn make_dir(uid_base: u32) -> Dir {
    let dir = Dir(PathBuf::from(format!("/tmp/cj-probes-{uid_base}")));
    for (path, mode) in [(dir.to_path_buf(), 0o755), (dir.join("scratch"), 0o1777)] {
        fs::create_dir(&path).expect("mkdir");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("chmod");
    }
    dir
}

/// Copies of binary and module that any user can read.
fn staged_binary(dir: &Path, sabotage: bool) -> PathBuf {
    static BINARY: LazyLock<PathBuf> =
        LazyLock::new(|| std::env::var_os("CODEJAIL_BIN").map_or_else(built_binary, PathBuf::from));
    static SABOTAGE: LazyLock<PathBuf> = LazyLock::new(|| {
        let given = std::env::var_os("CODEJAIL_SABOTAGE_BIN");
        PathBuf::from(given.expect("CODEJAIL_SABOTAGE_BIN: make build-sabotage builds it"))
    });
    let binary = if sabotage { &*SABOTAGE } else { &*BINARY };
    let staged = dir.join("codejail");
    let module = binary.with_file_name(MODULE);
    for (from, to) in [(binary, &staged), (&module, &dir.join(MODULE))] {
        fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        fs::set_permissions(to, Permissions::from_mode(0o755)).expect("chmod");
    }
    staged
}

/// Binary and module of the same profile as this test: cargo builds neither for another package.
fn built_binary() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_BIN_EXE_codejail-api-tests"));
    let profile_dir = own.parent().expect("a profile's directory");
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--package",
            "codejail",
            "--package",
            "codejail-worker",
        ])
        .args(["--profile", profile, "--target-dir"])
        .arg(profile_dir.parent().expect("a target directory"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo");
    assert!(built.success(), "the service can't be built");
    profile_dir.join("codejail")
}
