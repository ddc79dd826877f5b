//! The uid layer: each sandbox is a user of its own, who owns its `tmp` and nothing else.
//!
//! A sandbox steps down twice. Before it says `Prepared`, it becomes its own user and drops all
//! capabilities. It keeps the worker's group, which may write to the scratch directory. When the
//! job's files are written, it drops the group too, which needs no privilege.

use super::LayerError;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, getgid, setresgid, setresuid};

const LAYER: &str = "uid";

/// The user of a sandbox; `None` where it shares the worker's uid.
pub type SandboxUid = Option<u32>;

/// From here on, new files belong to the worker's user and the sandbox's group. So they need no
/// mode that lets other sandboxes read them.
pub fn make_files_for(uid: SandboxUid) -> Result<(), LayerError> {
    let Some(id) = uid else { return Ok(()) };
    let worker_group = getgid();
    setresgid(worker_group, Gid::from_raw(id), worker_group)
        .map_err(LayerError::at(LAYER, "setresgid"))
}

/// Enters a user namespace that no other process is in, for a sandbox that shares its user with
/// others: the kernel counts processes and pending signals by user and by user namespace (Linux
/// 5.14). Returns whether it did: the host may already have as many namespaces as it allows
/// (user.max_user_namespaces). No user is mapped there, so the process sees its user as 65534
/// (user_namespaces(7)). [`become_user`] takes away the capabilities that it has there.
///
/// # Errors
/// Any other failure.
pub fn enter_user_namespace() -> Result<bool, LayerError> {
    match unshare(CloneFlags::CLONE_NEWUSER) {
        Ok(()) => Ok(true),
        Err(Errno::ENOSPC) => Ok(false),
        Err(errno) => Err(LayerError::at(LAYER, "unshare")(errno)),
    }
}

/// First step down: the sandbox's own uid, for good; its own gid as the real gid; no capability.
pub fn become_user(uid: SandboxUid) -> Result<(), LayerError> {
    if let Some(id) = uid {
        let worker_group = getgid();
        setresgid(Gid::from_raw(id), worker_group, Gid::from_raw(id))
            .map_err(LayerError::at(LAYER, "setresgid"))?;
        let user = Uid::from_raw(id);
        setresuid(user, user, user).map_err(LayerError::at(LAYER, "setresuid"))?;
    }
    drop_capabilities()
}

/// Second step down: the sandbox leaves the worker's group, and loses the right to write beside
/// `tmp`.
pub fn leave_worker_group(uid: SandboxUid) -> Result<(), LayerError> {
    let Some(id) = uid else { return Ok(()) };
    let group = Gid::from_raw(id);
    setresgid(group, group, group).map_err(LayerError::at(LAYER, "setresgid"))
}

/// Clears the effective, permitted and inheritable sets, and with them the ambient set. This is
/// needed: a change from one uid to another leaves all sets as they were if neither is root's.
fn drop_capabilities() -> Result<(), LayerError> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    /// `_LINUX_CAPABILITY_VERSION_3` of linux/capability.h: two words a set.
    const VERSION_3: u32 = 0x2008_0522;
    let header = Header {
        version: VERSION_3,
        pid: 0,
    };
    let empty = [[0_u32; 3]; 2];
    // SAFETY: capset(2) reads one header and two data words, which both outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, empty.as_ptr()) };
    nix::errno::Errno::result(result)
        .map(drop)
        .map_err(LayerError::at(LAYER, "capset"))
}
