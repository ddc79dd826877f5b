//! A running service, for programs: a failed call returns an error, and dropping the value stops
//! the service.

use crate::http::{self, Answer};
use crate::log::Log;
use crate::machine::{Beside, beside};
use crate::processes::Process;
use crate::root::is_root;
use crate::setup::{Place, Setup};
use crate::wait::{END_MAX, START_MAX, try_wait_for};
use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A service with a port, a directory and uids of its own. When this is dropped, the service ends.
#[derive(Debug)]
pub struct Running {
    /// `None` when the service has been waited for.
    process: Option<Child>,
    pid: i32,
    address: SocketAddr,
    log: Log,
    started: Instant,
    place: Place,
    _beside: Beside,
}

impl Running {
    /// Starts a service and waits until it listens.
    ///
    /// # Errors
    /// The service does not listen. The error has its log.
    pub fn launch(setup: &Setup<'_>) -> Result<Self> {
        let mut service = Self::begin(setup)?;
        let address = try_wait_for("a line with the address", START_MAX, || {
            // The order matters: a service that ends may have logged its address just before.
            let ended = service.ended()?;
            let address = service.log.address();
            ensure!(address.is_some() || ended.is_none(), "it ended: {ended:?}");
            Ok(address)
        });
        service.address = address.with_context(|| service.log.text())?;
        Ok(service)
    }

    /// Starts a service and waits until it is ready to execute.
    ///
    /// # Errors
    /// The service does not get ready. The error has its log.
    pub fn start(setup: &Setup<'_>) -> Result<Self> {
        let service = Self::launch(setup)?;
        service.wait_until_ready()?;
        Ok(service)
    }

    /// Starts a service that must refuse to run. Returns its exit status and its log.
    ///
    /// # Errors
    /// The service does not end.
    pub fn fail_to_start(setup: &Setup<'_>) -> Result<(ExitStatus, String)> {
        let mut service = Self::begin(setup)?;
        let status = service.wait(START_MAX)?;
        // Its last line may still be on the way through the pipe.
        try_wait_for("the log's end", END_MAX, || {
            Ok(service.log.is_complete().then_some(()))
        })?;
        let left = service.scratch_entries();
        ensure!(left.is_empty(), "it left {left:?}");
        Ok((status, service.log.text()))
    }

    fn begin(setup: &Setup<'_>) -> Result<Self> {
        let beside = beside();
        let place = Place::make()?;
        let started = Instant::now();
        let mut command = setup.command(&place, "serve")?;
        let process = command.stderr(Stdio::piped()).spawn();
        let mut process = process.with_context(|| format!("{command:?}"))?;
        let log = Log::of(process.stderr.take().context("a pipe")?);
        Ok(Self {
            pid: i32::try_from(process.id())?,
            process: Some(process),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            log,
            started,
            place,
            _beside: beside,
        })
    }

    /// Waits until the service is ready to execute.
    ///
    /// # Errors
    /// It does not get ready within 120 s, or it is gone.
    pub fn wait_until_ready(&self) -> Result<()> {
        self.wait_for_200("/readyz").map(drop)
    }

    /// Waits until the service answers this path with 200. Returns how long after its start that
    /// was.
    ///
    /// # Errors
    /// It does not within 120 s, or it is gone.
    pub fn wait_for_200(&self, path: &str) -> Result<Duration> {
        try_wait_for(&format!("200 for {path}"), START_MAX, || {
            let found = self.try_get(path)?.status == 200;
            Ok(found.then(|| self.started.elapsed()))
        })
        .with_context(|| self.log.text())
    }

    /// Waits until this many sandboxes wait for a job.
    ///
    /// # Errors
    /// They do not within 120 s.
    pub fn wait_for_sandboxes(&self, count: usize) -> Result<()> {
        try_wait_for("ready sandboxes", START_MAX, || {
            let ready = self.try_metric("codejail_sandboxes_ready")? >= count as f64;
            Ok(ready.then_some(()))
        })
    }

    /// One of its metrics, summed over its labels; 0 if it was never counted.
    ///
    /// # Errors
    /// There is no answer.
    pub fn try_metric(&self, name: &str) -> Result<f64> {
        let metrics = http::get(self.address, "/metrics")?.body;
        let values = metrics.lines().filter_map(|line| {
            let (key, value) = line.rsplit_once(' ')?;
            let named = key == name || key.split('{').next() == Some(name);
            named.then(|| value.parse::<f64>().ok())?
        });
        Ok(values.sum())
    }

    /// The output of `codejail check` with the same configuration and as the same user.
    ///
    /// # Errors
    /// The command can't be started.
    pub fn check(&self, setup: &Setup<'_>) -> Result<String> {
        let output = setup.command(&self.place, "check")?.output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The address on which the service listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The supervisor's pid.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The directory of the service: configuration and scratch root, and files that a test puts
    /// there.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.place.dir
    }

    /// The directory in which sandboxes have their directories.
    #[must_use]
    pub fn scratch_root(&self) -> PathBuf {
        self.place.dir.join("scratch")
    }

    /// The uid of its HTTP side; if the service is not started as root, the uid of the whole
    /// service.
    #[must_use]
    pub fn user(&self) -> u32 {
        match is_root() {
            true => self.place.uids.user(),
            false => geteuid().as_raw(),
        }
    }

    /// The first uid of its workers and sandboxes.
    #[must_use]
    pub fn uid_base(&self) -> u32 {
        self.place.uids.uid_base()
    }

    /// Whether a process has one of the uids that only this service has.
    #[must_use]
    pub fn owns(&self, process: &Process) -> bool {
        self.place.uids.uids().contains(&process.uid)
    }

    /// The log of the service.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Asks for a path.
    ///
    /// # Errors
    /// There is no answer.
    pub fn try_get(&self, path: &str) -> Result<Answer> {
        Ok(http::get(self.address, path)?)
    }

    /// The entries of its scratch root, as the host sees them.
    #[must_use]
    pub fn scratch_entries(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.scratch_root()).expect("the scratch root");
        entries
            .map(|entry| entry.expect("an entry").path())
            .collect()
    }

    /// Sends a signal to the supervisor. If the supervisor has ended, that is no error: its status
    /// tells.
    ///
    /// # Errors
    /// The signal may not be sent.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        match kill(Pid::from_raw(self.pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(errno).with_context(|| format!("{signal}")),
        }
    }

    /// Whether the service has been waited for.
    #[must_use]
    pub fn was_waited_for(&self) -> bool {
        self.process.is_none()
    }

    /// Waits for the end of the service.
    ///
    /// # Errors
    /// It does not end within `longest`, or has been waited for already.
    pub fn wait(&mut self, longest: Duration) -> Result<ExitStatus> {
        let status = try_wait_for("the service's end", longest, || self.ended())?;
        self.process = None;
        Ok(status)
    }

    /// Ends the service as a service manager would.
    ///
    /// # Errors
    /// The service does not end, or does not end well. The error has its log.
    pub fn stop(mut self) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        let status = self.wait(END_MAX)?;
        ensure!(
            status.success(),
            "it ended with {status}: {}",
            self.log.text()
        );
        Ok(())
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let process = self.process.as_mut().context("it was waited for already")?;
        Ok(process.try_wait()?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.was_waited_for() {
            let told = self.signal(Signal::SIGTERM);
            if told.and_then(|()| self.wait(END_MAX)).is_err()
                && let Some(process) = &mut self.process
            {
                // Its spawner removes the rest.
                let _ = process.kill();
                let _ = process.wait();
            }
        }
        if crate::dir::is_kept() {
            // An error is ignored: a file that can't be kept is only missing for the person who
            // looks for it.
            let _ = fs::write(self.place.dir.join("log"), self.log.text());
        }
    }
}
