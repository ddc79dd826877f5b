//! Starts the real service for a test, on a port, in a directory and with uids of its own; and makes
//! sure at its end that it left nothing.

// Every test file is a crate of its own and uses its part of this.
#![allow(dead_code)]

pub mod cgroups;
pub mod http;
pub mod inject;
pub mod own_python;
pub mod processes;
pub mod python;
pub mod raw;
mod setup;

pub use setup::{Setup, sandbox_python};

use http::{Answer, Connection, Run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use processes::{Process, wait_for};
use setup::{Log, Starting, scratch_directories};
use std::fs::{self, Permissions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A start takes some 0.3 s on an idle machine, with numpy 1 s.
pub const START_MAX: Duration = Duration::from_secs(90);
/// An end takes some 50 ms, unless something runs.
pub const END_MAX: Duration = Duration::from_secs(30);

/// A service that runs.
#[derive(Debug)]
pub struct Service {
    pub address: SocketAddr,
    /// Its configuration and its scratch root.
    pub dir: PathBuf,
    /// First uid of its workers and sandboxes; the one before is the HTTP side's.
    pub uid_base: u32,
    process: Option<Child>,
    pid: i32,
    log: Log,
    expect_directories: bool,
    /// Its processes when it was last told something.
    family: Mutex<Vec<Process>>,
}

impl Service {
    /// Starts one and waits until it is healthy.
    pub fn start(overrides: &str) -> Self {
        let service = Self::launch(&Setup {
            overrides,
            ..Setup::default()
        });
        service.wait_until_healthy();
        service
    }

    /// The same for somebody who is not root: as root, a user whom nothing else on a test machine is.
    pub fn start_unprivileged(uid: u32, overrides: &str) -> Self {
        let service = Self::launch(&Setup {
            overrides,
            uid: is_root().then_some(uid),
            staged: true,
            ..Setup::default()
        });
        service.wait_until_healthy();
        service
    }

    /// Starts one and waits until it listens.
    pub fn launch(setup: &Setup<'_>) -> Self {
        let mut starting = Starting::new(setup);
        let address = wait_for("a line with the address", START_MAX, || {
            let log = starting.log.lock().unwrap().clone();
            if let Some(status) = starting.ended() {
                panic!("the service ended with {status}:\n{log}");
            }
            address_in(&log)
        });
        let (uid_base, log) = (starting.uid_base, Arc::clone(&starting.log));
        let (process, dir) = starting.started();
        Self {
            address,
            dir,
            uid_base,
            pid: i32::try_from(process.id()).expect("a pid"),
            process: Some(process),
            log,
            expect_directories: false,
            family: Mutex::default(),
        }
    }

    /// Starts one that must refuse to: its exit status and what it said.
    pub fn fail_to_start(overrides: &str) -> (Option<i32>, String) {
        Self::fail_to_start_as(&Setup {
            overrides,
            ..Setup::default()
        })
    }

    /// The same of one that is set up in some other way.
    pub fn fail_to_start_as(setup: &Setup<'_>) -> (Option<i32>, String) {
        let mut starting = Starting::new(setup);
        let status = wait_for("its end", START_MAX, || starting.ended());
        assert_eq!(scratch_directories(&starting.dir), [] as [PathBuf; 0]);
        // Its last line may still be on the way through the pipe.
        wait_for("the log's end", END_MAX, || {
            (Arc::strong_count(&starting.log) == 1).then_some(())
        });
        (status.code(), starting.log.lock().unwrap().clone())
    }

    pub fn wait_until_healthy(&self) {
        wait_for("health", START_MAX, || {
            let health = http::get(self.address, "/health/").expect("health");
            assert!(
                !health.body.contains("\"failure\":\""),
                "a startup check failed: {}",
                health.body
            );
            (health.status == 200).then_some(())
        });
    }

    pub fn get(&self, path: &str) -> Answer {
        http::get(self.address, path).expect("an answer")
    }

    /// One of its metrics, without labels; 0 if it was never counted.
    pub fn metric(&self, name: &str) -> u64 {
        let metrics = self.get("/metrics").body;
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |value| value.trim().parse().expect("a number"))
    }

    pub fn run(&self, run: &Run) -> Answer {
        http::run(self.address, run)
    }

    /// Runs code over no globals.
    pub fn execute(&self, code: &str) -> Answer {
        self.run(&Run::new(code))
    }

    /// Runs code that must end well and set `x`.
    pub fn value_of_x(&self, code: &str) -> serde_json::Value {
        self.execute(code).success()["x"].take()
    }

    pub fn connect(&self) -> Connection {
        Connection::open(self.address).expect("connect")
    }

    /// The supervisor's pid.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    pub fn spawner(&self) -> Process {
        let mut children = processes::children(self.pid);
        assert_eq!(children.len(), 1, "{children:?}");
        children.remove(0)
    }

    pub fn workers(&self) -> Vec<Process> {
        processes::children(self.spawner().pid)
    }

    /// Supervisor, spawner, workers and sandboxes.
    pub fn processes(&self) -> Vec<Process> {
        processes::family(self.pid)
    }

    /// All its processes, once there are as many: some sandboxes may still be on their way out.
    pub fn wait_for_processes(&self, count: usize) -> Vec<Process> {
        wait_for("the usual number of processes", END_MAX, || {
            Some(self.processes()).filter(|family| family.len() == count)
        })
    }

    /// Pids of those that stay: supervisor, spawner and workers.
    pub fn lasting_pids(&self) -> Vec<i32> {
        let workers = self.workers().into_iter().map(|worker| worker.pid);
        [self.pid, self.spawner().pid]
            .into_iter()
            .chain(workers)
            .collect()
    }

    pub fn scratch_root(&self) -> PathBuf {
        self.dir.join("scratch")
    }

    /// Directories that hold something: on the host, and on the file systems that only a worker sees.
    pub fn scratch_directories(&self) -> Vec<PathBuf> {
        let mut found = scratch_directories(&self.dir);
        for worker in processes::children(self.pid)
            .iter()
            .flat_map(|spawner| processes::children(spawner.pid))
        {
            found.extend(seats(worker.pid, &self.scratch_root()));
        }
        found
    }

    /// A directory as the sandboxes of its worker see it.
    pub fn seen_inside(&self, directory: &Path) -> PathBuf {
        self.scratch_root()
            .join(directory.file_name().expect("a name"))
    }

    /// The directory of a run that makes `name` in its `tmp`, once it has.
    pub fn wait_for_mark(&self, name: &str) -> PathBuf {
        let marked = |dir: &PathBuf| dir.join("tmp").join(name).exists();
        wait_for("a mark of the run", START_MAX, || {
            self.scratch_directories().into_iter().find(marked)
        })
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Changes its configuration; it learns of that when it is told.
    pub fn reconfigure(&self, overrides: &str) {
        setup::reconfigure(&self.dir, overrides);
    }

    /// Tells it something that is not its end.
    pub fn tell(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid), signal).expect("kill");
    }

    pub fn signal(&self, signal: Signal) {
        *self.family.lock().unwrap() = self.processes();
        kill(Pid::from_raw(self.pid), signal).expect("kill");
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("it was waited for already");
        wait_for("the service's end", END_MAX, || {
            process.try_wait().expect("wait")
        })
    }

    /// Its spawner is killed: nobody is left who could remove directories.
    pub fn leaves_directories(&mut self) {
        self.expect_directories = true;
    }

    /// Those of its processes that still live, also when they have lost their parents.
    fn remains(&self) -> Vec<Process> {
        let uids = self.uid_base - 1..self.uid_base + 999;
        let mut remains = processes::all();
        remains.retain(|process| uids.contains(&process.uid));
        remains.extend(self.family.lock().unwrap().iter().cloned());
        remains.retain(Process::lives);
        remains
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let status = self.process.is_some().then(|| {
            self.signal(Signal::SIGTERM);
            self.wait()
        });
        if std::thread::panicking() {
            eprintln!("--- log of the service\n{}---", self.log());
            // What it left is what the test failed for, or not worth a second failure.
            let _ = fs::remove_dir_all(&self.dir);
            return;
        }
        assert!(
            status.is_none_or(|status| status.code() == Some(0)),
            "{status:?}\n{}",
            self.log()
        );
        let nothing_left = || self.remains().is_empty().then_some(());
        wait_for("no process left", END_MAX, nothing_left);
        if !self.expect_directories {
            // A supervisor that was killed doesn't wait for its spawner.
            let none_left = || self.scratch_directories().is_empty().then_some(());
            let longest = if status.is_some() {
                Duration::ZERO
            } else {
                END_MAX
            };
            wait_for("no directory left", longest, none_left);
        }
        fs::remove_dir_all(&self.dir).expect("remove");
    }
}

/// What a worker with a root of its own has below the scratch root, through the kernel's link to that
/// root; one that ends meanwhile has nothing.
fn seats(worker: i32, scratch_root: &Path) -> Vec<PathBuf> {
    let root = PathBuf::from(format!("/proc/{worker}/root"));
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    let own = device(&root);
    if own.is_none() || own == device(Path::new("/")) {
        return Vec::new();
    }
    let inside = scratch_root.strip_prefix("/").expect("an absolute path");
    let entries = fs::read_dir(root.join(inside)).into_iter().flatten();
    let mut seats: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    seats.retain(|seat| seat.join("jailed_code").exists());
    seats
}

pub fn is_root() -> bool {
    geteuid().is_root()
}

/// A `python_lib.zip` with one module.
pub fn library(module: &str, source: &str) -> Vec<u8> {
    zip(&[(&format!("{module}.py"), source.as_bytes())])
}

/// A `python_lib.zip` with these files; the same files make the same bytes.
pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let script = "import json, sys, zipfile\n\
                  with zipfile.ZipFile(sys.stdout.buffer, 'w', zipfile.ZIP_DEFLATED) as z:\n \
                  for name, content in json.load(sys.stdin):\n  \
                  z.writestr(zipfile.ZipInfo(name), bytes(content), zipfile.ZIP_DEFLATED)";
    let mut python = Command::new(sandbox_python())
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the sandbox's Python");
    let text = serde_json::to_vec(files).expect("JSON");
    let mut stdin = python.stdin.take().expect("its standard input");
    stdin.write_all(&text).expect("write");
    drop(stdin);
    let done = python.wait_with_output().expect("its output");
    assert!(done.status.success());
    done.stdout
}

fn address_in(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("listening on ")?;
    let (line, _) = rest.split_once('\n')?;
    line.split_whitespace().next()?.parse().ok()
}

/// For everybody, so that only the sandbox's layers protect what is there.
pub fn make_writable(dir: &Path) {
    for path in [dir.to_owned(), dir.join("file")] {
        fs::set_permissions(&path, Permissions::from_mode(0o777)).expect("chmod");
    }
}
