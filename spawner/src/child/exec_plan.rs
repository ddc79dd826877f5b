//! All that a new worker's process needs. The spawner prepares it in memory, and the process gets a
//! copy of that memory.

use super::user_maps::UserMaps;
use crate::sys::process::{CStringArray, duplicate_above};
use crate::worker_root::Root;
use nix::errno::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::{OwnedFd, RawFd};

/// The first number after the worker's own descriptors (see [`super::become_worker`]).
pub(super) const FIRST_FREE: RawFd = 5;

/// Which program the process is to become, and where.
#[derive(Debug)]
pub struct ExecPlan<'a> {
    /// The interpreter.
    pub python: &'a CStr,
    /// Its arguments, the first of them its own name.
    pub arguments: CStringArray<'a>,
    /// Its whole environment.
    pub environment: CStringArray<'a>,
    /// The directory to start in: its path in the new root.
    pub directory: CString,
    /// The user to become, where the spawner is root.
    pub uid: Option<u32>,
    /// The user namespace to enter, where the spawner is not root.
    pub users: Option<&'a UserMaps>,
    /// Its descriptors.
    pub descriptors: ChildDescriptors,
    /// For `attr/exec`: the AppArmor profile to enter, where that layer is in use.
    pub apparmor: Option<&'a CStr>,
    /// Whether to close the IPC namespace.
    pub closes_ipc: bool,
    /// The root to enter, if it gets one.
    pub root: Option<Root<'a>>,
}

/// The descriptors that a new process works with.
#[derive(Debug)]
pub struct ChildDescriptors {
    /// The pipe from which the process reads the byte that lets it go on. Then the pipe is at end
    /// of file, and becomes the worker's standard input.
    pub input: OwnedFd,
    /// The spawner's end of that pipe. The spawner closes its own copy, the process closes the
    /// other.
    pub input_writer: RawFd,
    /// Standard output and error.
    pub log: OwnedFd,
    /// The worker's end of its conversation with the supervisor.
    pub control: OwnedFd,
    /// The worker module.
    pub module: OwnedFd,
    /// The pipe in which the process tells what failed.
    pub failed: OwnedFd,
}

impl ChildDescriptors {
    /// Gives all descriptors numbers above those that the worker expects, so that the process can
    /// put each in its place without closing another.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn out_of_the_way(self) -> Result<Self, Errno> {
        let moved = |descriptor: OwnedFd| duplicate_above(descriptor, FIRST_FREE);
        Ok(Self {
            input: moved(self.input)?,
            input_writer: self.input_writer,
            log: moved(self.log)?,
            control: moved(self.control)?,
            module: moved(self.module)?,
            failed: moved(self.failed)?,
        })
    }
}
