//! Process attributes that confinement rests on: no new privileges, not dumpable, dies with its
//! parent, a session of its own.

use super::LayerError;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid, setsid};

const LAYER: &str = "process";

/// Gives up set-user-id programs and file capabilities for ever; seccomp and Landlock need it.
pub fn no_new_privileges() -> Result<(), LayerError> {
    prctl::set_no_new_privs().map_err(LayerError::at(LAYER, "PR_SET_NO_NEW_PRIVS"))
}

/// Closes ptrace, `/proc/PID/mem` and core dumps, piped ones too. A change of uid or gid undoes it
/// (`commit_creds` in the kernel's `kernel/cred.c`), so it comes after each.
pub fn not_dumpable() -> Result<(), LayerError> {
    prctl::set_dumpable(false).map_err(LayerError::at(LAYER, "PR_SET_DUMPABLE"))
}

/// Dies with the worker, also where no PID namespace ends it. A change of
/// uid or gid clears this too.
///
/// # Errors
/// Also when the parent is gone already: the signal would never come.
pub fn die_with_parent(parent: Pid) -> Result<(), LayerError> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(LayerError::at(LAYER, "PR_SET_PDEATHSIG"))?;
    if getppid() != parent {
        return Err(LayerError::refused(LAYER, "the worker is gone"));
    }
    Ok(())
}

/// A session and process group of its own, so that `kill(0)` reaches nobody else.
pub fn own_session() -> Result<(), LayerError> {
    setsid().map(drop).map_err(LayerError::at(LAYER, "setsid"))
}
