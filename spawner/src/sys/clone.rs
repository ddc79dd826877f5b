//! A new process: like fork, but in new namespaces, and with a descriptor to watch and to kill the
//! process.

use nix::errno::Errno;
use nix::unistd::Pid;
use std::convert::Infallible;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A process that was made here and is not reaped yet.
#[derive(Debug)]
pub struct Cloned {
    /// Its number.
    pub pid: Pid,
    /// The same process as a descriptor: readable once the process has ended. Unlike the number it
    /// never names another process.
    pub pidfd: OwnedFd,
}

impl Cloned {
    /// Sends SIGKILL by descriptor, pidfd_send_signal(2), so that the signal never hits a reused
    /// pid. If the process has ended already, that is no error.
    ///
    /// # Errors
    /// The kernel refuses. We know no reason for which it would.
    pub fn kill(&self) -> Result<(), Errno> {
        // SAFETY: the only pointer is a null one, which the call allows.
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

/// Clones this process into the `namespaces` (CLONE_NEW… flags) and runs `child` in the new
/// process.
///
/// `child` may only make system calls, over memory that was prepared before: another thread of the
/// spawner may hold any lock at this moment, the allocator's too, and the child would wait for it
/// for ever.
///
/// # Errors
/// The error of clone3(2). Where a container's own filter answers ENOSYS to clone3, the error of
/// clone(2).
pub fn clone(namespaces: i32, child: impl FnOnce() -> Infallible) -> Result<Cloned, Errno> {
    let mut pidfd: i32 = -1;
    let pid = match clone3(namespaces, &mut pidfd) {
        Err(Errno::ENOSYS) => legacy_clone(namespaces, &mut pidfd),
        result => result,
    }?;
    if pid == 0 {
        child();
    }
    let pid = i32::try_from(pid).map_err(|_| Errno::EOVERFLOW)?;
    Ok(Cloned {
        pid: Pid::from_raw(pid),
        // SAFETY: the clone succeeded, so CLONE_PIDFD has stored a new descriptor that nobody else
        // owns.
        pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
    })
}

fn clone3(namespaces: i32, pidfd: &mut i32) -> Result<libc::c_long, Errno> {
    // SAFETY: clone_args is a structure of integers, for which zero is a value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = u64::from((namespaces | libc::CLONE_PIDFD).cast_unsigned());
    args.pidfd = (&raw mut *pidfd).addr() as u64;
    args.exit_signal = libc::SIGCHLD.cast_unsigned().into();
    // SAFETY: args and pidfd live through the call. Without CLONE_VM the child runs on a copy of
    // this memory and stack, as after fork.
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const args,
            size_of::<libc::clone_args>(),
        )
    };
    Errno::result(result)
}

/// clone(2) stores the descriptor where it would store the parent's tid: its third argument, on
/// x86_64 and aarch64 alike.
fn legacy_clone(namespaces: i32, pidfd: &mut i32) -> Result<libc::c_long, Errno> {
    let flags = (namespaces | libc::CLONE_PIDFD | libc::SIGCHLD).cast_unsigned();
    // SAFETY: pidfd lives through the call. Without CLONE_VM a null stack means a copy of this one.
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
