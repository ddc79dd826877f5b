//! This service: the release build with the development configuration.

use super::{LIMIT_S, kill, terminate, wait_until};
use anyhow::{Context, Result, ensure};
use codejail_api_tests::client::{Client, Request};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long it may take until it is healthy: the workers import the whole preload list.
const START_MAX: Duration = Duration::from_secs(120);

/// Uids of the services of one benchmark: each has this many, more than 50 sandboxes need.
const UIDS: u32 = 2_000;
/// Services that one benchmark can have at a time; two benchmarks on one host don't meet.
const SLOTS: u32 = 8;
/// Of these nothing else on a test machine has any.
const UID_BASE: u32 = 349_840_001;

/// How a service is to be started.
#[derive(Debug, Clone)]
pub struct Options {
    /// The `codejail` executable, with the worker module beside it.
    pub codejail: PathBuf,
    /// The sandbox venv's interpreter.
    pub python: PathBuf,
    /// TOML over the development configuration.
    pub overrides: String,
    /// Which of the benchmark's uid ranges; those that run at the same time have one each.
    pub slot: u32,
}

/// A running service.
pub struct Ours {
    process: Child,
    address: SocketAddr,
    dir: PathBuf,
    /// From its start to its first healthy answer.
    pub warm_up: Duration,
}

/// The development configuration as a table.
pub fn development_configuration(python: &Path, uid_base: u32) -> Result<toml::Table> {
    let text = Command::new("scripts/dev-config.sh")
        .arg(python)
        .args(["127.0.0.1:0", &uid_base.to_string()])
        .output()
        .context("scripts/dev-config.sh: run this from the project's root")?;
    ensure!(
        text.status.success(),
        "scripts/dev-config.sh: {}",
        String::from_utf8_lossy(&text.stderr)
    );
    Ok(String::from_utf8(text.stdout)?.parse()?)
}

/// The uids of a slot of this process.
pub(super) fn uid_base(slot: u32) -> u32 {
    UID_BASE + (std::process::id() % 8 * SLOTS + slot % SLOTS) * UIDS
}

fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    Client::new(address, false).ask(&Request::get(path))
}

fn merge(into: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(value)) => merge(inner, value),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

impl Ours {
    /// Starts one and waits until it is healthy.
    pub fn start(options: &Options) -> Result<Self> {
        let mut config = development_configuration(&options.python, uid_base(options.slot))?;
        // The original lets clients wait as long as they like: beside it nobody is sent away.
        let limits = format!(
            "queue_wait_max_ms = {0}000\n[limits]\nCPU = {0}\nREALTIME = {0}\n",
            LIMIT_S
        );
        merge(&mut config, limits.parse()?);
        merge(&mut config, options.overrides.parse()?);
        let name = format!("codejail-bench-{}-{}", std::process::id(), options.slot);
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir)?;
        let path = dir.join("codejail.toml");
        super::write_readable(&path, toml::to_string(&config)?.as_bytes())?;
        let started = Instant::now();
        let process = Command::new(&options.codejail)
            .args(["serve", "--config"])
            .arg(&path)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| options.codejail.display().to_string())?;
        let mut service = Self {
            process,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            dir,
            warm_up: Duration::ZERO,
        };
        service.address = service.hear_address()?;
        let address = service.address;
        wait_until("a healthy service", START_MAX, || {
            Ok(get(address, "/health/")?.0 == 200)
        })
        .with_context(|| service.log())?;
        service.warm_up = started.elapsed();
        Ok(service)
    }

    /// Its log goes to a file, and the address to the caller.
    fn hear_address(&mut self) -> Result<SocketAddr> {
        let stderr = self.process.stderr.take().context("no standard error")?;
        let mut log = File::create(self.log_path())?;
        let (told, hears) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some((_, text)) = line.split_once("listening on ") {
                    // Nobody listens any more where the start was given up.
                    let address = text.split_whitespace().next().unwrap_or_default();
                    let _ = told.send(address.parse());
                }
                // A full disk must not end the service, which would lose its standard error.
                let _ = std::io::Write::write_all(&mut log, format!("{line}\n").as_bytes());
            }
        });
        let address = hears.recv_timeout(START_MAX);
        Ok(address.with_context(|| format!("no address: {}", self.log()))??)
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("log")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The supervisor's pid.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// A gauge or counter of its metrics, summed over its labels.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let (_, text) = get(self.address, "/metrics")?;
        let values = text.lines().filter_map(|line| {
            let (key, value) = line.rsplit_once(' ')?;
            let key = key.split('{').next()?;
            (key == name).then(|| value.parse::<f64>().ok())?
        });
        Ok(values.sum())
    }

    /// Waits until this many sandboxes wait for a job.
    pub fn wait_for_ready(&self, sandboxes: usize) -> Result<()> {
        wait_until("ready sandboxes", START_MAX, || {
            Ok(self.metric("codejail_sandboxes_ready")? >= sandboxes as f64)
        })
    }

    /// Ends it as a service manager would.
    pub fn stop(mut self) -> Result<()> {
        let status = terminate(&mut self.process)?;
        ensure!(
            status.success(),
            "the service ended with {status}: {}",
            self.log()
        );
        Ok(())
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        kill(&mut self.process);
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
