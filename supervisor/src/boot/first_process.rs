//! What the first process of a container owes: it reaps the processes that others leave behind.
//!
//! What `docker exec` or a health check starts has its parent outside of the container. When such a
//! process ends before its own children do, the kernel gives these to process 1, and who does not
//! reap them keeps them as zombies, each of which counts against the container's limit on
//! processes.

use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getpid};
use std::io;
use tokio::signal::unix::{SignalKind, signal};

/// Reaps children that this process did not start, from now on, if it is the first. The spawner is
/// waited for at the end of the service, with its status.
///
/// # Errors
/// The system allows no handler for SIGCHLD.
pub fn reap_strangers(spawner: Pid) -> io::Result<()> {
    if getpid() != Pid::from_raw(1) {
        return Ok(());
    }
    let mut ended = signal(SignalKind::child())?;
    tokio::spawn(async move {
        // Those that came and went before the handler was there, too.
        loop {
            reap_all_but(spawner);
            if ended.recv().await.is_none() {
                return;
            }
        }
    });
    Ok(())
}

/// Up to the spawner: once that has ended, the service is about to.
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
