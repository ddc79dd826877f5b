//! Which namespaces a worker gets, and how the spawner comes to be allowed to give them.

use crate::clone::clone;
use crate::error::LaunchError;
use codejail_protocol::control::{LayerMode, LayerState};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{getegid, geteuid};
use std::ffi::CStr;

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

/// What a worker's namespaces are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Namespaces {
    /// Flags of its clone.
    pub flags: i32,
    /// Whether its IPC namespace can be closed for System V objects.
    pub closes_ipc: bool,
}

/// Which a clone gets here, tried out once with a child that ends at once, and what to say of it.
///
/// # Errors
/// The layer is required and this host gives none.
pub fn find(mode: LayerMode) -> Result<(Namespaces, LayerState), LaunchError> {
    let none = Namespaces::default();
    if mode == LayerMode::Off {
        return Ok((none, LayerState::left_out(LAYER)));
    }
    match (try_clone(), mode) {
        (Ok(closes_ipc), _) => {
            let ipc = if closes_ipc {
                "no System V IPC"
            } else {
                "System V IPC stays open: /proc/sys can't be written"
            };
            let got = "PID, mount, network, IPC and UTS namespaces for each worker";
            let state = LayerState::on(LAYER, format!("{got}; {ipc}"));
            let flags = ALL;
            Ok((Namespaces { flags, closes_ipc }, state))
        }
        (Err(LaunchError::System(_, errno)), LayerMode::Auto) if is_refusal(errno) => Ok((
            none,
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

/// Whether a new IPC namespace could be closed in it.
fn try_clone() -> Result<bool, LaunchError> {
    match clone(ALL)? {
        // SAFETY: the child of the trial makes system calls and ends.
        None => unsafe { libc::_exit(i32::from(close_ipc().is_err())) },
        Some(child) => match waitpid(child.pid, None) {
            Ok(WaitStatus::Exited(_, status)) => Ok(status == 0),
            Ok(_) => Err(LaunchError::System("try a clone", Errno::ECHILD)),
            Err(errno) => Err(LaunchError::System("waitpid", errno)),
        },
    }
}

/// In a new IPC namespace, whose limits these are (proc(5)): no shared memory segment, no message queue and
/// no semaphore set can be made, so that none outlives its run. System calls only.
pub fn close_ipc() -> Result<(), Errno> {
    let limits: [(&CStr, &[u8]); 3] = [
        (c"/proc/sys/kernel/shmmni", b"0"),
        (c"/proc/sys/kernel/msgmni", b"0"),
        // The last of the four is the number of sets.
        (c"/proc/sys/kernel/sem", b"0 0 0 0"),
    ];
    for (file, limit) in limits {
        // SAFETY: the path is a C string, the buffer is live and as long as said, the number is our own.
        unsafe {
            let file = libc::open(file.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
            Errno::result(file)?;
            let written = libc::write(file, limit.as_ptr().cast(), limit.len());
            libc::close(file);
            Errno::result(written)?;
        }
    }
    Ok(())
}
