//! The contenders: programs that execute the same code. They are the original, a bare Python, this
//! service, and the limit, which no service can beat.

mod bare;
mod limit;
mod original;
mod ours;

pub use bare::Bare;
pub use limit::Limit;
pub use original::Original;
pub use ours::{Options, Ours};

use crate::workload::{Reply, Workload};
use anyhow::{Context, Result, ensure};
use codejail_api_tests::client::Client;
use std::net::SocketAddr;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// The limit of every run, in seconds of CPU time and of the wall clock. No workload comes near it,
/// also on a loaded machine. A killed run would be a wrong answer.
pub const LIMIT_S: u64 = 30;

/// Executes workloads, one at a time.
pub trait Contender {
    /// Executes the workload and checks the answer. Returns how long the execution took, without
    /// the check.
    fn execute(&mut self, workload: &Workload) -> Result<Duration>;
}

/// An HTTP service with one client. The request of a workload is built once and then sent again.
pub struct Http {
    client: Client,
    request: Option<(String, Vec<u8>)>,
    /// The last right answer. The same bytes need not be checked again.
    right: Vec<u8>,
}

impl Http {
    /// A client for this address.
    pub fn new(address: SocketAddr, keep_alive: bool) -> Self {
        Self {
            client: Client::new(address, keep_alive),
            request: None,
            right: Vec::new(),
        }
    }
}

impl Contender for Http {
    fn execute(&mut self, workload: &Workload) -> Result<Duration> {
        if self
            .request
            .as_ref()
            .is_none_or(|(name, _)| name != &workload.name)
        {
            let bytes = self.client.bytes_of(&workload.request());
            self.request = Some((workload.name.clone(), bytes));
            self.right.clear();
        }
        let (_, request) = self.request.as_ref().context("it was just made")?;
        let started = Instant::now();
        let (status, body) = self.client.exchange(request)?;
        let elapsed = started.elapsed();
        if body != self.right {
            let text = String::from_utf8_lossy(&body);
            ensure!(status == 200, "{status}: {text}");
            workload.check(&Reply::of(&body)?)?;
            self.right = body;
        }
        Ok(elapsed)
    }
}

/// Ends a process as a service manager would, and waits for it.
fn terminate(process: &mut Child) -> Result<std::process::ExitStatus> {
    Command::new("kill")
        .args(["-TERM", &process.id().to_string()])
        .status()?;
    Ok(process.wait()?)
}

/// Kills a process that may still run, so that it does not outlive an error.
fn kill(process: &mut Child) {
    // Both calls do nothing after a `wait`.
    let _ = process.kill();
    let _ = process.wait();
}
