//! The duty of a container's first process: it reaps the processes that others leave behind.
//!
//! A process that `docker exec` or a health check starts has its parent outside of the container.
//! If it ends before its own children, the kernel gives them to process 1. If process 1 does not
//! reap them, they stay as zombies, and each counts against the container's limit on processes.

use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getpid};
use std::io;
use tokio::signal::unix::{SignalKind, signal};

/// If this process is the first, reaps from now on the children that it did not start. The service
/// waits for the spawner itself at its end, to get its status.
///
/// # Errors
/// The system allows no handler for SIGCHLD.
pub fn reap_strangers(spawner: Pid) -> io::Result<()> {
    if getpid() != Pid::from_raw(1) {
        return Ok(());
    }
    let mut ended = signal(SignalKind::child())?;
    tokio::spawn(async move {
        // Also those that ended before the handler was there.
        loop {
            reap_all_but(spawner);
            if ended.recv().await.is_none() {
                return;
            }
        }
    });
    Ok(())
}

/// Reaps ended children until it finds the spawner. If the spawner has ended, the service is about
/// to end.
fn reap_all_but(spawner: Pid) {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let next = || match waitid(Id::All, look) {
        Ok(status) => status.pid().filter(|pid| *pid != spawner),
        Err(_) => None,
    };
    while let Some(stranger) = next() {
        if waitid(Id::Pid(stranger), WaitPidFlag::WEXITED).is_err() {
            return;
        }
    }
}
