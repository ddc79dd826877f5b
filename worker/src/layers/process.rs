//! Attributes of a process that confinement needs: no new privileges, not dumpable, dies with its
//! parent, a session of its own, no way to `/proc`.

use super::LayerError;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid, setsid};
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

const LAYER: &str = "process";

/// Gives up set-user-id programs and file capabilities for ever. seccomp and Landlock need this.
pub fn no_new_privileges() -> Result<(), LayerError> {
    prctl::set_no_new_privs().map_err(LayerError::at(LAYER, "PR_SET_NO_NEW_PRIVS"))
}

/// Closes ptrace, `/proc/PID/mem` and core dumps, also piped ones. A change of uid or gid undoes it
/// (`commit_creds` in the kernel's `kernel/cred.c`), so it is repeated after each.
pub fn not_dumpable() -> Result<(), LayerError> {
    prctl::set_dumpable(false).map_err(LayerError::at(LAYER, "PR_SET_DUMPABLE"))
}

/// Makes this process die with the worker, also where no PID namespace ends it. A change of uid or
/// gid clears this too.
///
/// # Errors
/// Also if the parent is gone already: then the signal would never come.
pub fn die_with_parent(parent: Pid) -> Result<(), LayerError> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(LayerError::at(LAYER, "PR_SET_PDEATHSIG"))?;
    if getppid() != parent {
        return Err(LayerError::refused(LAYER, "the worker is gone"));
    }
    Ok(())
}

/// Makes a session and process group of its own, so that `kill(0)` reaches no other process.
pub fn own_session() -> Result<(), LayerError> {
    setsid().map(drop).map_err(LayerError::at(LAYER, "setsid"))
}

/// Closes `/proc` to this worker and to its sandboxes, which are the same user. The worker must
/// have a root of its own, in which it owns that directory. No process can open it again, because
/// where a user is shared, seccomp denies every change of a mode.
pub fn close_proc() -> Result<(), LayerError> {
    set_permissions("/proc", Permissions::from_mode(0o000))
        .map_err(LayerError::at(LAYER, "close /proc"))
}
