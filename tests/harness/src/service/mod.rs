//! The service of a test: a failed call panics, and at the end of the service nothing of it may be
//! left.

mod watch;

use crate::http::{Answer, Connection};
use crate::processes::{self, Process};
use crate::root::is_root;
use crate::run::Run;
use crate::running::Running;
use crate::setup::{Setup, reconfigure};
use crate::wait::{END_MAX, START_MAX, try_wait_for, wait_for, wait_until};
use anyhow::bail;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::ops::Deref;
use std::process::ExitStatus;
use std::sync::Mutex;
use std::time::Duration;

/// A service that runs. When this is dropped, the service ends. That panics unless the service ends
/// well and leaves no process and no directory.
#[derive(Debug)]
pub struct Service {
    /// The address on which the service listens.
    pub address: SocketAddr,
    running: Running,
    expect_directories: bool,
    /// The processes of the service at the time of its last signal.
    family: Mutex<Vec<Process>>,
}

impl Deref for Service {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

/// A user who is not root can't look into a worker's root, so a test could not see what a run has
/// written.
fn visible(setup: &Setup<'_>) -> String {
    let visible = if is_root() {
        ""
    } else {
        "layers.mounts = 'off'\n"
    };
    format!("{visible}{}", setup.base)
}

impl Service {
    /// Starts a service with this TOML over the defaults, and waits until it is healthy.
    #[must_use]
    pub fn start(overrides: &str) -> Self {
        Self::start_as(&Setup {
            overrides,
            ..Setup::default()
        })
    }

    /// The same, started by a user who is not root.
    #[must_use]
    pub fn start_unprivileged(overrides: &str) -> Self {
        Self::start_as(&Setup {
            overrides,
            unprivileged: true,
            ..Setup::default()
        })
    }

    /// Starts a service with this setup, and waits until it is healthy.
    #[must_use]
    pub fn start_as(setup: &Setup<'_>) -> Self {
        let service = Self::launch(setup);
        service.wait_until_healthy();
        service
    }

    /// Starts a service and waits until it listens.
    #[must_use]
    pub fn launch(setup: &Setup<'_>) -> Self {
        let base = visible(setup);
        let setup = Setup {
            base: &base,
            ..setup.clone()
        };
        let running = Running::launch(&setup).unwrap_or_else(|error| panic!("{error:#}"));
        Self {
            address: running.address(),
            running,
            expect_directories: false,
            family: Mutex::default(),
        }
    }

    /// Starts a service that must refuse to run. Returns its exit status and its log.
    #[must_use]
    pub fn fail_to_start(overrides: &str) -> (Option<i32>, String) {
        Self::fail_to_start_as(&Setup {
            overrides,
            ..Setup::default()
        })
    }

    /// The same, with this setup.
    #[must_use]
    pub fn fail_to_start_as(setup: &Setup<'_>) -> (Option<i32>, String) {
        let base = visible(setup);
        let setup = Setup {
            base: &base,
            ..setup.clone()
        };
        let failed = Running::fail_to_start(&setup);
        let (status, said) = failed.unwrap_or_else(|error| panic!("{error:#}"));
        (status.code(), said)
    }

    /// Waits until `/health/` answers 200. Panics when a startup check has failed.
    pub fn wait_until_healthy(&self) {
        let healthy = try_wait_for("health", START_MAX, || {
            let health = self.try_get("/health/")?;
            if health.body.contains("\"failure\":\"") {
                bail!("a startup check failed: {}", health.body);
            }
            Ok((health.status == 200).then_some(()))
        });
        healthy.unwrap_or_else(|error| panic!("{error:#}\n{}", self.log()));
    }

    /// Waits until the service would execute, whatever its checks said.
    pub fn wait_until_ready(&self) {
        let ready = self.running.wait_until_ready();
        ready.unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// Executes until the service works again. Each answer before that must be one that a service
    /// with a fault gives.
    pub fn wait_until_it_works(&self) {
        wait_until("a service that works", START_MAX, || {
            let answer = self.execute("x = 1");
            answer.status != 503 && answer.json().get("emsg").is_none()
        });
    }

    /// Executes code, and compares the answer.
    #[track_caller]
    pub fn assert_works(&self) {
        assert_eq!(self.value_of_x("x = 1"), json!(1));
    }

    /// The service must answer `/livez`, whether or not it executes.
    #[track_caller]
    pub fn assert_lives(&self) {
        assert_eq!(self.get("/livez").status, 200);
    }

    /// Asks for a path.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.try_get(path).expect("an answer")
    }

    /// A counter or gauge of the service, summed over its labels; 0 if it was never counted.
    #[track_caller]
    pub fn metric(&self, name: &str) -> u64 {
        self.try_metric(name).expect("metrics") as u64
    }

    /// Executes this run.
    #[track_caller]
    pub fn run(&self, run: &Run) -> Answer {
        run.ask(self.address)
    }

    /// Executes code without globals.
    #[track_caller]
    pub fn execute(&self, code: &str) -> Answer {
        self.run(&Run::new(code))
    }

    /// Executes code that must end well and set `x`.
    #[track_caller]
    pub fn value_of_x(&self, code: &str) -> Value {
        self.execute(code).success()["x"].take()
    }

    /// Opens a connection.
    #[must_use]
    pub fn connect(&self) -> Connection {
        Connection::open(self.address).expect("connect")
    }

    /// Changes the configuration of the service, which notices when it is told to reload.
    pub fn reconfigure(&self, overrides: &str) {
        reconfigure(self.dir(), overrides);
    }

    /// The whole log.
    #[must_use]
    pub fn log(&self) -> String {
        self.running.log().text()
    }

    /// The lines of an event, so far.
    #[must_use]
    pub fn events(&self, id: &str) -> Vec<String> {
        self.running.log().events(id)
    }

    /// Waits until an event has happened so many times. Returns its lines.
    pub fn wait_for_events(&self, id: &str, count: usize) -> Vec<String> {
        let found = try_wait_for(id, START_MAX, || {
            Ok(Some(self.events(id)).filter(|lines| lines.len() >= count))
        });
        found.unwrap_or_else(|error| panic!("{error}\n{}", self.log()))
    }

    /// Waits until an event has happened. Returns its first line.
    pub fn wait_for_event(&self, id: &str) -> String {
        self.wait_for_events(id, 1).remove(0)
    }

    /// Waits until an event has happened whose line contains `part`.
    pub fn wait_for_event_with(&self, id: &str, part: &str) -> String {
        wait_for(&format!("{id}: {part}"), START_MAX, || {
            self.events(id).into_iter().find(|line| line.contains(part))
        })
    }

    /// Sends a signal that does not end the service.
    pub fn tell(&self, signal: Signal) {
        self.running.signal(signal).expect("kill");
    }

    /// Sends a signal that may end the service: at the end of the test none of its processes may be
    /// left.
    pub fn signal(&self, signal: Signal) {
        *self.family.lock().expect("no panic") = self.processes();
        self.tell(signal);
    }

    /// Waits for the end of the service.
    pub fn wait(&mut self) -> ExitStatus {
        self.running.wait(END_MAX).expect("its end")
    }

    /// The test has killed the spawner, so no process is left that could remove directories.
    pub fn leaves_directories(&mut self) {
        self.expect_directories = true;
    }

    /// Those processes of the service that still live, also if they have lost their parents.
    fn remains(&self) -> Vec<Process> {
        let mut remains = processes::all();
        remains.retain(|process| self.owns(process));
        remains.extend(self.family.lock().expect("no panic").iter().cloned());
        remains.retain(Process::lives);
        remains
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The test has failed already; leftovers are not worth a second failure.
            eprintln!("--- log of the service\n{}---", self.log());
            return;
        }
        let ended_before = self.was_waited_for();
        if !ended_before {
            self.signal(Signal::SIGTERM);
            let status = self.wait();
            assert_eq!(status.code(), Some(0), "{status}\n{}", self.log());
        }
        wait_until("no process left", END_MAX, || self.remains().is_empty());
        if !self.expect_directories {
            // A supervisor that was killed doesn't wait for its spawner.
            let longest = if ended_before {
                END_MAX
            } else {
                Duration::ZERO
            };
            let none_left = || self.scratch_entries().is_empty();
            wait_until("no directory left", longest, none_left);
        }
    }
}
