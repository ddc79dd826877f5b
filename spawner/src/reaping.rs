//! Reaps processes: workers, and the sandboxes of lost workers.
//!
//! Where workers have PID namespaces, all processes of one end with it. Without them the sandboxes
//! of a worker that is gone become this process's children: they are its orphans.

use crate::error::SpawnerError;
use crate::say;
use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, getpid};
use std::ops::Range;
use std::time::{Duration, Instant};

/// How long sandboxes without a worker may take to end: the kernel needs seconds for gigabytes.
pub const ORPHANS_END_MAX: Duration = Duration::from_secs(10);

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

/// Whether a child of this process that is no worker has one of these uids; any uid where none are
/// given, since all processes of the service share one. False where `/proc` does not tell.
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

/// Waits until no child is left, once all workers are reaped. Each orphan ends by itself, at once
/// (PR_SET_PDEATHSIG). One that was just being made may make its directory before that, which is to
/// be removed too: hence the wait.
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
