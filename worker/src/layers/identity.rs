//! The uid layer: each sandbox is a user of its own, which owns its `tmp` and nothing else.
//!
//! A sandbox steps down twice. Before it says `Prepared` it becomes its own user and drops all
//! capabilities, but keeps the worker's group, which may write to the scratch directory; when the
//! job's files are written it drops that too, and needs no privilege to do so.

use super::LayerError;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, getgid, setresgid, setresuid};

const LAYER: &str = "uid";

/// Who a sandbox is; `None` where it shares the worker's uid.
pub type SandboxUid = Option<u32>;

/// What is made from here on belongs to the sandbox's group, so that no other sandbox needs a right
/// to it; the worker's user owns it.
pub fn make_files_for(uid: SandboxUid) -> Result<(), LayerError> {
    let Some(id) = uid else { return Ok(()) };
    let worker_group = getgid();
    setresgid(worker_group, Gid::from_raw(id), worker_group)
        .map_err(LayerError::at(LAYER, "setresgid"))
}

/// Enters a user namespace that no other process is in, for a sandbox that shares its user with
/// others: the kernel counts processes and pending signals by user and by user namespace (Linux
/// 5.14). Whether it did: a host can have as many as it allows already (user.max_user_namespaces).
/// Nobody is mapped there, so that the process sees its user as 65534 (user_namespaces(7));
/// [`become_user`] takes the capabilities away that it has in there.
///
/// # Errors
/// Anything but too many of them.
pub fn enter_user_namespace() -> Result<bool, LayerError> {
    match unshare(CloneFlags::CLONE_NEWUSER) {
        Ok(()) => Ok(true),
        Err(Errno::ENOSPC) => Ok(false),
        Err(errno) => Err(LayerError::at(LAYER, "unshare")(errno)),
    }
}

/// First step down: own uid for good, own gid as the real one, no capability.
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

/// Second step down: the worker's group goes, and with it the right to write beside `tmp`.
pub fn leave_worker_group(uid: SandboxUid) -> Result<(), LayerError> {
    let Some(id) = uid else { return Ok(()) };
    let group = Gid::from_raw(id);
    setresgid(group, group, group).map_err(LayerError::at(LAYER, "setresgid"))
}

/// Clears the effective, permitted and inheritable sets; ambient ones go with them. Changing
/// between two uids that are not root's leaves them all as they were, so this is not optional.
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
