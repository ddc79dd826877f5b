//! The service under measurement: started on a free port, stopped at the end.

use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long it may take until it is healthy: the workers import the whole preload list.
const START_MAX: Duration = Duration::from_secs(120);

/// A running service.
pub struct Service {
    process: Child,
    address: SocketAddr,
    config: PathBuf,
}

impl Service {
    /// Starts it with `deploy/dev-config.sh`'s configuration and waits until it is healthy.
    pub fn start(codejail: &Path, python: &Path) -> Result<Self> {
        let config =
            std::env::temp_dir().join(format!("codejail-bench-{}.toml", std::process::id()));
        let text = Command::new("deploy/dev-config.sh")
            .arg(python)
            .args(["127.0.0.1:0"])
            .output()
            .context("deploy/dev-config.sh: run this from the project's root")?;
        ensure!(
            text.status.success(),
            "deploy/dev-config.sh: {}",
            String::from_utf8_lossy(&text.stderr)
        );
        std::fs::write(&config, text.stdout)?;
        let mut process = Command::new(codejail)
            .args(["serve", "--config"])
            .arg(&config)
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| codejail.display().to_string())?;
        let stderr = process.stderr.take().context("no standard error")?;
        let (told, hears) = mpsc::channel();
        std::thread::spawn(move || {
            let mut address = None;
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some((_, text)) = line.split_once("listening on ") {
                    address = text.trim().parse().ok();
                }
                // The last of the checks, of the first worker that is through.
                if line.contains("startup check passed") && line.contains("check=\"network\"") {
                    let _ = told.send(address);
                }
            }
        });
        let address = hears.recv_timeout(START_MAX).ok().flatten();
        let mut service = Self {
            process,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            config,
        };
        service.address = address.context("the service did not get healthy")?;
        Ok(service)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it as a service manager would.
    pub fn stop(mut self) -> Result<()> {
        let pid = self.process.id().to_string();
        ensure!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()?
                .success(),
            "kill -TERM {pid}"
        );
        let status = self.process.wait()?;
        ensure!(status.success(), "the service ended with {status}");
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Does nothing after `stop`; on an error the service must not stay.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.config);
    }
}

/// Processor, kernel and day, without which figures mean nothing.
pub fn machine() -> Result<String> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo")?;
    let models: Vec<&str> = cpuinfo
        .lines()
        .filter_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']))
        .collect();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let day = Command::new("date").arg("+%F").output()?.stdout;
    Ok(format!(
        "{} x {}, Linux {}, {}",
        models.len(),
        models.first().unwrap_or(&"unknown processor"),
        kernel.trim(),
        String::from_utf8_lossy(&day).trim()
    ))
}
