//! Those that execute the same code: the original, a bare Python, this service, and what none can
//! beat.

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

/// Seconds of CPU and of the wall clock that a run may take, everywhere: no workload comes near on
/// a loaded machine either, since one that is killed would be a wrong answer.
pub const LIMIT_S: u64 = 30;

/// Executes workloads, one at a time.
pub trait Contender {
    /// Executes and checks the answer: how long it took, the check not included.
    fn execute(&mut self, workload: &Workload) -> Result<Duration>;
}

/// An HTTP service with one client. The request of a workload is built once.
pub struct Http {
    client: Client,
    request: Option<(String, Vec<u8>)>,
    /// The last answer that was right: the same bytes need no second look.
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

/// Kills what is still there: for what must not outlive an error.
fn kill(process: &mut Child) {
    // Both do nothing after a `wait`.
    let _ = process.kill();
    let _ = process.wait();
}
