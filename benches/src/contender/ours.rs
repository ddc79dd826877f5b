//! This service with the development configuration. It is the measured build, or an earlier one.

use super::LIMIT_S;
use anyhow::{Context, Result, ensure};
use codejail_harness::binary::Build;
use codejail_harness::setup::merge;
use codejail_harness::{Running, Setup};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How to start a service.
#[derive(Debug, Clone)]
pub struct Options {
    /// The `codejail` executable, with the worker module beside it.
    pub codejail: PathBuf,
    /// The sandbox venv's interpreter.
    pub python: PathBuf,
    /// TOML that changes the development configuration.
    pub overrides: String,
}

/// A running service.
pub struct Ours {
    running: Running,
    /// The time from its start to its first healthy answer.
    pub warm_up: Duration,
}

/// The development configuration as a table. The harness adds a port and uids.
pub fn development_configuration(python: &Path) -> Result<toml::Table> {
    let text = Command::new("scripts/dev-config.sh")
        .arg(python)
        .arg("127.0.0.1:0")
        .output()
        .context("scripts/dev-config.sh: run this from the project's root")?;
    ensure!(
        text.status.success(),
        "scripts/dev-config.sh: {}",
        String::from_utf8_lossy(&text.stderr)
    );
    Ok(String::from_utf8(text.stdout)?.parse()?)
}

impl Ours {
    /// Starts a service, and waits until it is healthy.
    pub fn start(options: &Options) -> Result<Self> {
        let mut base = development_configuration(&options.python)?;
        // The original lets clients wait as long as they like. To be comparable, this service must
        // send no client away.
        let limits = format!(
            "queue_wait_max_ms = {LIMIT_S}000\n[limits]\nCPU = {LIMIT_S}\nREALTIME = {LIMIT_S}\n"
        );
        merge(&mut base, limits.parse()?);
        let mut overrides: toml::Table = options.overrides.parse()?;
        let python = format!("python.bin = {:?}", options.python);
        merge(&mut overrides, python.parse()?);
        let running = Running::launch(&Setup {
            base: &base.to_string(),
            overrides: &overrides.to_string(),
            build: Build::At(&options.codejail),
            ..Setup::default()
        })?;
        let warm_up = running.wait_for_200("/health/")?;
        Ok(Self { running, warm_up })
    }

    /// The address at which it listens.
    pub fn address(&self) -> SocketAddr {
        self.running.address()
    }

    /// The supervisor's pid.
    pub fn pid(&self) -> i32 {
        self.running.pid()
    }

    /// Waits until this many sandboxes wait for a job.
    pub fn wait_for_sandboxes(&self, count: usize) -> Result<()> {
        self.running.wait_for_sandboxes(count)
    }

    /// Ends the service as a service manager would.
    pub fn stop(self) -> Result<()> {
        self.running.stop()
    }
}
