//! A sandbox between the order to prepare it and its place on the shelf.

use super::ready::{Command, Pipes, ReadySandbox};
use codejail_protocol::control::SandboxId;
use codejail_protocol::frame;
use codejail_protocol::job::SandboxReport;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long a sandbox may take from order to `Prepared`. It usually takes 2 to 10 ms.
const PREPARE_MAX: Duration = Duration::from_secs(10);

/// Four pipes: our ends, registered with the runtime, and the sandbox's.
pub fn make_pipes() -> io::Result<(Pipes, [OwnedFd; 4])> {
    let pipe = || pipe2(OFlag::O_CLOEXEC).map_err(io::Error::from);
    let (job_read, job_write) = pipe()?;
    let (stdout_read, stdout_write) = pipe()?;
    let (stderr_read, stderr_write) = pipe()?;
    let (status_read, status_write) = pipe()?;
    let pipes = Pipes {
        job: pipe::Sender::from_owned_fd(job_write)?,
        stdout: pipe::Receiver::from_owned_fd(stdout_read)?,
        stderr: pipe::Receiver::from_owned_fd(stderr_read)?,
        status: pipe::Receiver::from_owned_fd(status_read)?,
    };
    Ok((pipes, [job_read, stdout_write, stderr_write, status_write]))
}

/// Waits for a new sandbox's first report and passes the sandbox on to its worker's task.
pub async fn wait_until_prepared(
    sandbox: SandboxId,
    mut ready: ReadySandbox,
    commands: mpsc::UnboundedSender<Command>,
) {
    let report = timeout(PREPARE_MAX, read_report(&mut ready.pipes.status)).await;
    let error = match report {
        Ok(Ok(SandboxReport::Prepared { used })) => {
            ready.used = used;
            let _ = commands.send(Command::Ready(Box::new(ready)));
            return;
        }
        Ok(Ok(SandboxReport::PrepareFailed { error })) => error,
        Ok(Ok(_)) => "it broke the protocol: expected Prepared".to_owned(),
        Ok(Err(error)) => format!("its status pipe: {error}"),
        Err(_) => format!("it was not ready after {PREPARE_MAX:?}"),
    };
    let _ = commands.send(Command::Unready(sandbox, error));
}

/// Reads one frame from a status pipe.
async fn read_report(status: &mut pipe::Receiver) -> io::Result<SandboxReport> {
    let mut prefix = [0; frame::PREFIX_BYTES];
    status.read_exact(&mut prefix).await?;
    let length = frame::body_length(prefix).map_err(io::Error::other)?;
    let mut body = vec![0; length];
    status.read_exact(&mut body).await?;
    frame::decode(&body).map_err(io::Error::other)
}
