//! Reaps processes: workers, and the sandboxes of lost workers.
//!
//! Where workers have PID namespaces, a worker's processes end with the worker. Without PID
//! namespaces the sandboxes of a lost worker become children of this process. We call them orphans.

use crate::error::SpawnerError;
use crate::say;
use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, getpid};
use std::ops::Range;
use std::time::{Duration, Instant};

/// How long orphans may take to end. The kernel needs seconds to free gigabytes.
pub const ORPHANS_END_MAX: Duration = Duration::from_secs(10);

/// Waits for one worker's end and reaps it. Returns its exit status, or the negative number of the
/// signal that ended it.
///
/// # Errors
/// The process is no child of this process, or is reaped already.
pub fn reap(pid: Pid) -> Result<i32, SpawnerError> {
    match waitid(Id::Pid(pid), WaitPidFlag::WEXITED) {
        Ok(WaitStatus::Exited(_, status)) => Ok(status),
        Ok(WaitStatus::Signaled(_, signal, _)) => Ok(-(signal as i32)),
        Ok(_) => Err(SpawnerError::System("waitid", Errno::EINVAL)),
        Err(errno) => Err(SpawnerError::System("waitid", errno)),
    }
}

/// Reaps ended children that are not workers. Stops at the first ended child that is a worker.
///
/// # Errors
/// waitid(2) fails, for which there is no known reason.
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

/// Whether a child of this process that is no worker has one of these uids. Without `uids` every
/// uid counts, since all processes of the service then share one. False where `/proc` can't be
/// read.
pub fn has_orphan(uids: Option<&Range<u32>>, is_worker: impl Fn(Pid) -> bool) -> bool {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut others = pids.map(Pid::from_raw).filter(|pid| !is_worker(*pid));
    others.any(|pid| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
        status.is_ok_and(|status| is_own_child(&status, uids))
    })
}

fn is_own_child(status: &str, uids: Option<&Range<u32>>) -> bool {
    let number = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        line.split_whitespace().next()?.parse::<u32>().ok()
    };
    let is_child = number("PPid:") == Some(getpid().as_raw().cast_unsigned());
    let uid = number("Uid:");
    is_child && uids.is_none_or(|uids| uid.is_some_and(|uid| uids.contains(&uid)))
}

/// Waits until no child is left, once all workers are reaped. The kernel ends each orphan at once
/// (PR_SET_PDEATHSIG). But an orphan that was just being made may still make its directory. We wait
/// so that this directory is removed too.
pub fn wait_for_orphans() {
    let deadline = Instant::now() + ORPHANS_END_MAX;
    loop {
        match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
            Err(Errno::ECHILD) => return,
            Err(errno) => return say::error("orphans_stay", format!("waitid: {errno}")),
            Ok(WaitStatus::StillAlive) if Instant::now() >= deadline => {
                return say::error("orphans_stay", "a worker's processes are still there");
            }
            Ok(WaitStatus::StillAlive) => std::thread::sleep(ORPHANS_END_MAX / 1000),
            Ok(_) => {}
        }
    }
}
