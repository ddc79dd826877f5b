//! System calls with which a process changes itself: its descriptors, user, capabilities and
//! program, and its end.

use nix::errno::Errno;
use std::convert::Infallible;
use std::ffi::{CStr, c_char, c_long, c_ulong};
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// This process's standard input as a descriptor of its own; none from the second call on.
pub fn take_standard_input() -> Option<OwnedFd> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let first = !TAKEN.swap(true, Ordering::Relaxed);
    // SAFETY: this process has descriptor 0 from its start. Only the first caller gets
    // here, and nothing else in this crate or in std closes or owns it.
    first.then(|| unsafe { OwnedFd::from_raw_fd(libc::STDIN_FILENO) })
}

/// A copy of a descriptor, with a number of at least `lowest`. The copy is closed at exec.
///
/// # Errors
/// `EMFILE`.
pub fn duplicate_above(descriptor: impl AsFd, lowest: RawFd) -> Result<OwnedFd, Errno> {
    let original = descriptor.as_fd().as_raw_fd();
    // SAFETY: fcntl(2) takes three numbers for this command.
    let copy = Errno::result(unsafe { libc::fcntl(original, libc::F_DUPFD_CLOEXEC, lowest) })?;
    // SAFETY: fcntl(2) has made this descriptor just now, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Puts a copy of a descriptor at `number`, open over an exec. For a child that is about to become
/// another program: whatever was at `number` is closed, whoever owned it.
///
/// # Errors
/// What dup2(2) says.
pub fn put_descriptor_at(descriptor: impl AsFd, number: RawFd) -> Result<(), Errno> {
    // SAFETY: dup2(2) takes two numbers.
    done(unsafe { libc::dup2(descriptor.as_fd().as_raw_fd(), number) })
}

/// Marks every descriptor from `first` on as closed at exec.
///
/// # Errors
/// `ENOSYS` before Linux 5.11.
pub fn close_at_exec_from(first: u32) -> Result<(), Errno> {
    let flags = libc::CLOSE_RANGE_CLOEXEC.cast_signed();
    // SAFETY: close_range(2) takes three numbers.
    done(unsafe { libc::close_range(first, u32::MAX, flags) })
}

/// Takes a capability out of the bounding set: no program that is executed can get it.
///
/// # Errors
/// `EINVAL` for a capability that the kernel does not know, `EPERM` without CAP_SETPCAP.
pub fn drop_from_bounding_set(capability: u32) -> Result<(), Errno> {
    let capability = c_ulong::from(capability);
    // SAFETY: prctl(2) takes numbers for this option.
    done(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, UNUSED, UNUSED, UNUSED) })
}

/// linux/capability.h: two sets of 32 bits, and this process.
const VERSION_3_AND_SELF: [u32; 2] = [0x2008_0522, 0];

/// Sets effective, permitted and inheritable capabilities to those in `mask`, which has one bit for
/// each of the kernel's first 32.
///
/// # Errors
/// `EPERM` for a capability that this process does not have.
pub fn set_capabilities(mask: u32) -> Result<(), Errno> {
    let sets: [[u32; 3]; 2] = [[mask; 3], [0; 3]];
    let header = VERSION_3_AND_SELF.as_ptr();
    // SAFETY: capset(2) reads a header of two numbers and two triples of numbers; all outlive the
    // call.
    done_long(unsafe { libc::syscall(libc::SYS_capset, header, sets.as_ptr()) })
}

/// The effective capabilities of this process, one bit for each.
///
/// # Errors
/// None that capget(2) names for this process and a buffer of this size.
pub fn effective_capabilities() -> Result<u64, Errno> {
    let mut sets = [[0_u32; 3]; 2];
    let mut header = VERSION_3_AND_SELF;
    // SAFETY: capget(2) reads and may write a header of two numbers, and writes two triples of
    // numbers; all outlive the call.
    done_long(unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) })?;
    let [[low, ..], [high, ..]] = sets;
    Ok(u64::from(high) << 32 | u64::from(low))
}

/// Keeps a capability over an exec, though the user is not root.
///
/// # Errors
/// `EPERM` for a capability that is not both permitted and inheritable.
pub fn raise_ambient_capability(capability: u32) -> Result<(), Errno> {
    let raise = libc::PR_CAP_AMBIENT_RAISE as c_ulong;
    let capability = c_ulong::from(capability);
    done(
        // SAFETY: prctl(2) takes numbers for this option.
        unsafe { libc::prctl(libc::PR_CAP_AMBIENT, raise, capability, UNUSED, UNUSED) },
    )
}

/// Leaves every supplementary group.
///
/// A raw call, like the next two: libc's wrappers would signal threads of the parent, which a
/// cloned child does not have.
///
/// # Errors
/// `EPERM` without CAP_SETGID, or where a user namespace denies setgroups(2).
pub fn leave_groups() -> Result<(), Errno> {
    // SAFETY: a list of no groups has no address.
    done_long(unsafe { libc::syscall(libc::SYS_setgroups, 0, ptr::null::<u32>()) })
}

/// Sets real, effective and saved group.
///
/// # Errors
/// `EPERM` without CAP_SETGID.
pub fn set_group(gid: u32) -> Result<(), Errno> {
    // SAFETY: setresgid(2) takes three numbers.
    done_long(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) })
}

/// Sets real, effective and saved user.
///
/// # Errors
/// `EPERM` without CAP_SETUID, `EAGAIN` over the user's limit of processes.
pub fn set_user(uid: u32) -> Result<(), Errno> {
    // SAFETY: setresuid(2) takes three numbers.
    done_long(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) })
}

/// Gives SIGPIPE its default action again, which Rust's runtime has replaced.
///
/// # Errors
/// None that signal(2) names for a signal that exists.
pub fn restore_sigpipe() -> Result<(), Errno> {
    // SAFETY: the default action is no function of ours that could run.
    match unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) } {
        libc::SIG_ERR => Err(Errno::last()),
        _ => Ok(()),
    }
}

/// Arguments or environment of a program: C strings, and a null pointer after the last.
#[derive(Debug)]
pub struct CStringArray<'a> {
    pointers: Vec<*const c_char>,
    strings: PhantomData<&'a CStr>,
}

impl<'a> CStringArray<'a> {
    /// Allocates.
    pub fn new(strings: impl Iterator<Item = &'a CStr>) -> Self {
        let pointers = strings.map(CStr::as_ptr).chain([ptr::null()]);
        Self {
            pointers: pointers.collect(),
            strings: PhantomData,
        }
    }
}

/// Becomes another program; returns only on failure.
///
/// # Errors
/// What execve(2) says.
pub fn execute(
    program: &CStr,
    arguments: &CStringArray<'_>,
    environment: &CStringArray<'_>,
) -> Result<Infallible, Errno> {
    let (arguments, environment) = (arguments.pointers.as_ptr(), environment.pointers.as_ptr());
    // SAFETY: all strings outlive the call, and a CStringArray ends with a null pointer.
    unsafe { libc::execve(program.as_ptr(), arguments, environment) };
    Err(Errno::last())
}

/// Ends the process at once, without the parent's destructors and exit functions.
pub fn exit(status: i32) -> ! {
    // SAFETY: _exit(2) takes a number and does not return.
    unsafe { libc::_exit(status) }
}

/// For arguments that an option of prctl(2) does not use: the kernel wants them to be zero.
const UNUSED: c_ulong = 0;

fn done(result: i32) -> Result<(), Errno> {
    Errno::result(result).map(drop)
}

fn done_long(result: c_long) -> Result<(), Errno> {
    Errno::result(result).map(drop)
}
