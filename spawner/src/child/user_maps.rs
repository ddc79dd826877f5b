//! A user namespace in which this process's own user is the only user (user_namespaces(7)).

use super::proc_files::write_file;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};
use std::ffi::CStr;

/// The texts that map a process's own user, and nobody else, in a new user namespace.
#[derive(Debug)]
pub struct UserMaps([(&'static CStr, String); 3]);

impl UserMaps {
    /// The maps for this process and for children that keep its user.
    #[must_use]
    pub fn of_this_process() -> Self {
        let (uid, gid) = (geteuid(), getegid());
        let map = |id: u32| format!("{id} {id} 1");
        Self([
            (c"/proc/self/setgroups", "deny".to_owned()),
            (c"/proc/self/uid_map", map(uid.as_raw())),
            (c"/proc/self/gid_map", map(gid.as_raw())),
        ])
    }

    /// Enters a new user namespace, and other new namespaces with it. System calls only, for a
    /// child of clone.
    ///
    /// # Errors
    /// The host allows no user namespace, or no such map in one.
    pub fn enter(&self, others: CloneFlags) -> Result<(), Errno> {
        unshare(CloneFlags::CLONE_NEWUSER | others)?;
        let Self(maps) = self;
        maps.iter()
            .try_for_each(|(file, text)| write_file(file, text.as_bytes()))
    }
}
