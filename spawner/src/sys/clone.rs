//! A new process: like fork, but into namespaces and with a descriptor to watch and to kill it by.

use crate::error::LaunchError;
use nix::errno::Errno;
use nix::unistd::Pid;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A process that was made here and is not reaped yet.
#[derive(Debug)]
pub struct Cloned {
    /// Its number.
    pub pid: Pid,
    /// The same as a descriptor: readable once it has ended, and never another process.
    pub pidfd: OwnedFd,
}

impl Cloned {
    /// SIGKILL by descriptor, pidfd_send_signal(2), so that it never hits a reused pid. Of one that has
    /// ended this is no fault.
    ///
    /// # Errors
    /// The kernel refuses, which it has no reason to.
    pub fn kill(&self) -> Result<(), Errno> {
        // SAFETY: no pointer is passed but a null one, which the call allows.
        let result = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd(),
                libc::SIGKILL,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        match Errno::result(result) {
            Ok(_) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

/// Clones; none in the child. clone3(2), or clone(2) where a container's own filter answers ENOSYS to
/// that.
pub fn clone(namespaces: i32) -> Result<Option<Cloned>, LaunchError> {
    let mut pidfd: i32 = -1;
    let pid = match clone3(namespaces, &mut pidfd) {
        Err(Errno::ENOSYS) => legacy_clone(namespaces, &mut pidfd),
        result => result,
    };
    match pid.map_err(|errno| LaunchError::System("clone", errno))? {
        0 => Ok(None),
        pid => Ok(Some(Cloned {
            pid: Pid::from_raw(
                i32::try_from(pid).map_err(|_| LaunchError::Refused("a pid over 2^31"))?,
            ),
            // SAFETY: CLONE_PIDFD has put a new descriptor there, and it is ours.
            pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
        })),
    }
}

fn clone3(namespaces: i32, pidfd: &mut i32) -> Result<libc::c_long, Errno> {
    // SAFETY: an all-zero clone_args asks for nothing.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = u64::from((namespaces | libc::CLONE_PIDFD).cast_unsigned());
    args.pidfd = (&raw mut *pidfd).addr() as u64;
    args.exit_signal = libc::SIGCHLD.cast_unsigned().into();
    // SAFETY: args lives through the call; without CLONE_VM the child has its own memory, and it only
    // makes system calls until it becomes another program or ends.
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const args,
            size_of::<libc::clone_args>(),
        )
    };
    Errno::result(result)
}

/// The descriptor comes in the place of the parent's tid, third on x86_64 and aarch64 alike.
fn legacy_clone(namespaces: i32, pidfd: &mut i32) -> Result<libc::c_long, Errno> {
    let flags = (namespaces | libc::CLONE_PIDFD | libc::SIGCHLD).cast_unsigned();
    // SAFETY: as for clone3; a null stack means the parent's, copied.
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone,
            libc::c_ulong::from(flags),
            0,
            &raw mut *pidfd,
            0,
            0,
        )
    };
    Errno::result(result)
}
