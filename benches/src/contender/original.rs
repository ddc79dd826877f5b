//! The original behind gunicorn. It changes users by sudo: see
//! `benches/python/original_service.py`.

use super::{Http, LIMIT_S, kill, terminate};
use crate::contender::Contender;
use crate::workload::Workload;
use anyhow::{Context, Result};
use codejail_harness::uids::UidRange;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Gunicorn's workers. Its documentation advises two to four for each core; this is the least for
/// two cores.
pub const WORKERS: usize = 4;

/// The original while it runs.
pub struct Original {
    process: Child,
    address: SocketAddr,
    /// The time from its start to its first right answer.
    pub warm_up: Duration,
    _uids: UidRange,
}

impl Original {
    /// Starts it, as root, with the interpreter of a venv made from `benches/requirements.txt`, and
    /// waits for its first answer.
    pub fn start(venv_python: &Path, sandbox_python: &Path) -> Result<Self> {
        let uids = UidRange::try_take()?;
        let order = serde_json::json!({
            "python": sandbox_python,
            "limits": { "CPU": LIMIT_S, "REALTIME": LIMIT_S },
            "app": uids.user(),
            "sandbox": uids.uid_base(),
            "workers": WORKERS,
        });
        let started = Instant::now();
        let process = Command::new("unshare")
            .args(["--mount", "--propagation", "private"])
            .arg(venv_python)
            .arg(std::path::absolute("benches/python/original_service.py")?)
            .arg(order.to_string())
            // Gunicorn changes to the directory in which it was started. By then, any other
            // directory may be hidden from gunicorn, or closed to its user.
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("unshare")?;
        let mut original = Self {
            process,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            warm_up: Duration::ZERO,
            _uids: uids,
        };
        let stdout = original
            .process
            .stdout
            .take()
            .context("no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let port = line.trim().parse().context("the original did not start")?;
        original.address.set_port(port);
        Http::new(original.address, false).execute(&Workload::trivial()?)?;
        original.warm_up = started.elapsed();
        Ok(original)
    }

    /// The address at which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The pid of gunicorn's arbiter.
    pub fn pid(&self) -> i32 {
        self.process.id().cast_signed()
    }

    /// Ends the original.
    pub fn stop(mut self) -> Result<()> {
        terminate(&mut self.process)?;
        Ok(())
    }
}

impl Drop for Original {
    fn drop(&mut self) {
        // TERM comes first: after KILL, gunicorn's workers would live on for a second.
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = terminate(&mut self.process);
        }
        kill(&mut self.process);
    }
}
