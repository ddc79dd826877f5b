//! A worker's `/proc`: a directory that the worker alone may enter, and below it the kernel's own.
//!
//! So every path below `/proc` gives a sandbox `EACCES`, whether it exists or not, as with the
//! original's AppArmor profile. This also hides `/proc` where there is no Landlock. The kernel's
//! file system can't be mounted at `/proc` itself, since the kernel decides the mode of its top
//! directory.

use crate::sys::mount::{self, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID};
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, mkdirat};
use nix::unistd::{Uid, fchownat, symlinkat};
use std::ffi::CStr;
use std::os::fd::OwnedFd;

const PLACE: &CStr = c"proc";
/// Where the kernel's `/proc` is mounted. AppArmor's profiles name it
/// (`apparmor/tunables/codejail`).
const MOUNTED: &CStr = c"proc/mounted";

/// The names in `/proc` that programs use. All others belong to single processes, and no program
/// needs those.
const LINKS: [(&CStr, &CStr); 2] = [
    (c"proc/self", c"mounted/self"),
    (c"proc/thread-self", c"mounted/thread-self"),
];

/// Makes the content of the directory, and then closes the directory to everybody but `worker`.
pub(super) fn furnish(root: &OwnedFd, worker: Option<Uid>) -> Result<(), Errno> {
    mkdirat(root, MOUNTED, super::PASSAGE)?;
    for (name, target) in LINKS {
        symlinkat(target, root, name)?;
    }
    fchmodat(root, PLACE, Mode::S_IRWXU, FchmodatFlags::FollowSymlink)?;
    fchownat(root, PLACE, worker, None, AtFlags::AT_SYMLINK_NOFOLLOW)
}

/// Attaches the kernel's `/proc` below the current directory. It shows only processes of this PID
/// namespace, each only to processes that may trace it, and nothing of the kernel (`subset=pid`,
/// Linux 5.8).
pub(super) fn attach() -> Result<(), Errno> {
    let options = [(c"subset", c"pid"), (c"hidepid", c"invisible")];
    let attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    let proc = mount::new_mount(c"proc", &options, attributes)?;
    mount::attach(proc, MOUNTED)
}
