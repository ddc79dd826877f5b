//! Reaps processes: workers, and the sandboxes of lost workers.
//!
//! Where workers have PID namespaces, all processes of one end with it. Without them the sandboxes
//! of a worker that is gone become this process's children.

use crate::error::SpawnerError;
use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// How long sandboxes without a worker may take to end: the kernel needs seconds for gigabytes.
const ORPHANS_END_MAX: Duration = Duration::from_secs(10);

/// Waits for one worker's end and reaps it. Returns its exit status, or the negative number of the
/// signal that ended it.
///
/// # Errors
/// It is no child of this process, or is reaped already.
pub fn reap(pid: Pid) -> Result<i32, SpawnerError> {
    match waitid(Id::Pid(pid), WaitPidFlag::WEXITED) {
        Ok(WaitStatus::Exited(_, status)) => Ok(status),
        Ok(WaitStatus::Signaled(_, signal, _)) => Ok(-(signal as i32)),
        Ok(_) => Err(SpawnerError::System("waitid", Errno::EINVAL)),
        Err(errno) => Err(SpawnerError::System("waitid", errno)),
    }
}

/// Reaps children that have ended and are not workers, up to the first that is one.
///
/// # Errors
/// waitid(2) fails, which it has no reason to.
pub fn reap_orphans(is_worker: impl Fn(Pid) -> bool) -> Result<(), SpawnerError> {
    loop {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let ended = match waitid(Id::All, flags) {
            Ok(status) => status.pid(),
            Err(Errno::ECHILD) => None,
            Err(errno) => return Err(SpawnerError::System("waitid", errno)),
        };
        match ended {
            Some(pid) if !is_worker(pid) => reap(pid)?,
            _ => return Ok(()),
        };
    }
}

/// Waits until no child is left, once all workers are reaped. Each orphan ends by itself, at once
/// (PR_SET_PDEATHSIG). One that was just being made may make its directory before that, which is to
/// be removed too: hence the wait.
pub fn wait_for_orphans() {
    let deadline = Instant::now() + ORPHANS_END_MAX;
    loop {
        match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
            Err(Errno::ECHILD) => return,
            Err(errno) => return eprintln!("spawner: waitid: {errno}"),
            Ok(WaitStatus::StillAlive) if Instant::now() >= deadline => {
                return eprintln!("spawner: a worker's processes are still there");
            }
            Ok(WaitStatus::StillAlive) => std::thread::sleep(ORPHANS_END_MAX / 1000),
            Ok(_) => {}
        }
    }
}
