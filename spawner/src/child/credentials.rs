//! The user of a new worker, and the worker's capabilities.

use crate::sys::process::{
    drop_from_bounding_set, leave_groups, raise_ambient_capability, set_capabilities, set_group,
    set_user,
};
use nix::errno::Errno;
use nix::sys::prctl::set_keepcaps;

/// A worker changes to its sandboxes' users, and kills sandboxes (linux/capability.h: CAP_KILL 5,
/// CAP_SETGID 6, CAP_SETUID 7).
const CAPABILITIES: [u32; 3] = [5, 6, 7];

/// Takes every other capability out of the bounding set. Needs CAP_SETPCAP.
pub(super) fn bound_capabilities() -> Result<(), Errno> {
    /// Far above the last capability of any kernel. The call for the first unknown capability fails
    /// with EINVAL, which ends the loop.
    const CAPABILITIES_MAX: u32 = 64;
    for capability in (0..CAPABILITIES_MAX).filter(|number| !CAPABILITIES.contains(number)) {
        match drop_from_bounding_set(capability) {
            Ok(()) => {}
            Err(Errno::EINVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// The change of user would take the capabilities away; they are kept until [`keep_capabilities`].
pub(super) fn become_user(uid: u32) -> Result<(), Errno> {
    set_keepcaps(true)?;
    leave_groups()?;
    set_group(uid)?;
    set_user(uid)
}

/// Keeps the three over the exec: effective, permitted and inheritable, then ambient
/// (capabilities(7)).
pub(super) fn keep_capabilities() -> Result<(), Errno> {
    let mut mask = 0_u32;
    for capability in CAPABILITIES {
        mask |= 1 << capability;
    }
    set_capabilities(mask)?;
    for capability in CAPABILITIES {
        raise_ambient_capability(capability)?;
    }
    Ok(())
}
