//! Which namespaces a worker gets, and how the spawner comes to be allowed to give them.

use super::clone::clone;
use super::launch::LaunchError;
use codejail_protocol::control::{LayerMode, LayerState};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{getegid, geteuid};

const LAYER: &str = "namespaces";

/// Namespaces of a worker where the layer is on (namespaces(7)).
const ALL: i32 = libc::CLONE_NEWPID
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS;

/// What would help where there are none.
pub const REMEDY: &str = "start the service as root with CAP_SYS_ADMIN, or allow user namespaces \
     (sysctl user.max_user_namespaces, and on Ubuntu \
     kernel.apparmor_restrict_unprivileged_userns=0)";

/// Not root: becomes the one user of a user namespace of its own, in which it may do what it takes to
/// make the others. Outside it is who it was, with no right more (user_namespaces(7)). Must run while
/// this process has one thread. Where the host allows none, nothing changes.
///
/// # Errors
/// The namespace was entered and its user could not be mapped.
pub fn become_own_administrator() -> Result<(), LaunchError> {
    let (uid, gid) = (geteuid(), getegid());
    if uid.is_root() || unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).is_err() {
        return Ok(());
    }
    for (file, text) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("{uid} {uid} 1")),
        ("/proc/self/gid_map", format!("{gid} {gid} 1")),
    ] {
        std::fs::write(file, text).map_err(|error| LaunchError::File(file.to_owned(), error))?;
    }
    Ok(())
}

/// Which flags a clone gets here, tried out once with a child that ends at once, and what to say of it.
///
/// # Errors
/// The layer is required and this host gives none.
pub fn find(mode: LayerMode) -> Result<(i32, LayerState), LaunchError> {
    if mode == LayerMode::Off {
        return Ok((0, LayerState::left_out(LAYER)));
    }
    match (try_clone(ALL), mode) {
        (Ok(()), _) => {
            let got = "PID, mount, network, IPC and UTS namespaces for each worker";
            Ok((ALL, LayerState::on(LAYER, got)))
        }
        (Err(LaunchError::System(_, errno)), LayerMode::Auto) if is_refusal(errno) => Ok((
            0,
            LayerState::off(LAYER, format!("this host gives none ({errno}); {REMEDY}")),
        )),
        (Err(LaunchError::System(_, errno)), _) if is_refusal(errno) => {
            Err(LaunchError::layer(LAYER, errno, REMEDY))
        }
        (Err(error), _) => Err(error),
    }
}

/// What a host says that does not give them. Anything else (no memory, no process) may pass.
pub fn is_refusal(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::EPERM
            | Errno::EACCES
            | Errno::ENOSYS
            | Errno::EINVAL
            | Errno::ENOSPC
            | Errno::EUSERS
            | Errno::ENODEV
    )
}

fn try_clone(flags: i32) -> Result<(), LaunchError> {
    match clone(flags)? {
        // SAFETY: the child of the trial does nothing but end.
        None => unsafe { libc::_exit(0) },
        Some(child) => match waitpid(child.pid, None) {
            Ok(WaitStatus::Exited(_, 0)) => Ok(()),
            Ok(_) => Err(LaunchError::System("try a clone", Errno::ECHILD)),
            Err(errno) => Err(LaunchError::System("waitpid", errno)),
        },
    }
}
