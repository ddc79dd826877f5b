//! The kernel's mount calls by descriptor (Linux 5.2; mount_setattr 5.12).
//!
//! A file system made this way is attached nowhere until somebody moves it to a path. So it is not
//! visible on the host, and the kernel removes it with the last descriptor and the last namespace
//! that has it.

use nix::errno::Errno;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

/// Mount attributes, mount_setattr(2).
pub use libc::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};

/// linux/fcntl.h; for open_tree and mount_setattr.
const AT_RECURSIVE: u32 = 0x8000;

/// The same as [`libc::AT_EMPTY_PATH`] for calls with unsigned flags.
const EMPTY_PATH: u32 = libc::AT_EMPTY_PATH.cast_unsigned();

/// A new file system of the kind `name` with these options, mounted nowhere yet.
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN over the mount namespace, `ENOSYS` before Linux 5.2, `EINVAL` for
/// an option that the kernel does not know.
pub fn new_mount(
    name: &CStr,
    options: &[(&CStr, &CStr)],
    attributes: u64,
) -> Result<OwnedFd, Errno> {
    let context = open_context(name)?;
    for (key, value) in options {
        configure(&context, libc::FSCONFIG_SET_STRING, Some((key, value)))?;
    }
    configure(&context, libc::FSCONFIG_CMD_CREATE, None)?;
    mount_of(&context, attributes)
}

fn open_context(name: &CStr) -> Result<OwnedFd, Errno> {
    // SAFETY: the name is a C string that outlives the call; fsopen(2) returns a new descriptor or
    // -1.
    unsafe {
        new_descriptor(libc::syscall(
            libc::SYS_fsopen,
            name.as_ptr(),
            libc::FSOPEN_CLOEXEC,
        ))
    }
}

fn configure(
    context: &OwnedFd,
    command: libc::fsconfig_command,
    option: Option<(&CStr, &CStr)>,
) -> Result<(), Errno> {
    let (key, value) = option.map_or((ptr::null(), ptr::null()), |(key, value)| {
        (key.as_ptr(), value.as_ptr())
    });
    // SAFETY: key and value are C strings that outlive the call, or null for a command without
    // them.
    done(unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            command,
            key,
            value,
            0,
        )
    })
}

fn mount_of(context: &OwnedFd, attributes: u64) -> Result<OwnedFd, Errno> {
    // SAFETY: fsmount(2) takes a descriptor and two numbers, and returns a new descriptor or -1.
    unsafe {
        new_descriptor(libc::syscall(
            libc::SYS_fsmount,
            context.as_raw_fd(),
            libc::FSMOUNT_CLOEXEC,
            attributes,
        ))
    }
}

/// A copy of what is mounted at and below `path`, attached nowhere yet.
///
/// # Errors
/// What open_tree(2) says.
pub fn copy_of(path: &CStr) -> Result<OwnedFd, Errno> {
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | AT_RECURSIVE;
    // SAFETY: the path is a C string that outlives the call; open_tree(2) returns a new descriptor
    // or -1.
    unsafe {
        new_descriptor(libc::syscall(
            libc::SYS_open_tree,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
        ))
    }
}

/// Adds attributes to a mount and to all mounts below it. The mounts keep their other attributes.
///
/// # Errors
/// `ENOSYS` before Linux 5.12.
pub fn add_attributes(mount: BorrowedFd<'_>, attributes: u64) -> Result<(), Errno> {
    let change = libc::mount_attr {
        attr_set: attributes,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the path is an empty C string; the change is a live structure of the size given.
    done(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            EMPTY_PATH | AT_RECURSIVE,
            &raw const change,
            size_of::<libc::mount_attr>(),
        )
    })
}

/// Attaches a mount at `path`, seen from the current directory.
///
/// # Errors
/// What move_mount(2) says.
pub fn attach(mount: impl AsFd, path: &CStr) -> Result<(), Errno> {
    // SAFETY: both paths are C strings that outlive the call.
    done(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    })
}

/// Detaches the mount at the current directory. Processes that use it may go on.
///
/// # Errors
/// What umount2(2) says.
pub fn detach_here() -> Result<(), Errno> {
    // SAFETY: the path is a C string that lives for ever.
    done(unsafe { libc::umount2(c".".as_ptr(), libc::MNT_DETACH) }.into())
}

/// Cuts this mount namespace off: later mounts of the host are not visible in it, and its own are
/// not visible on the host.
///
/// # Errors
/// What mount(2) says.
pub fn stop_propagation() -> Result<(), Errno> {
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: the path is a C string; the other pointers may be null for a change of propagation.
    let result =
        unsafe { libc::mount(ptr::null(), c"/".as_ptr(), ptr::null(), flags, ptr::null()) };
    done(result.into())
}

fn done(result: libc::c_long) -> Result<(), Errno> {
    Errno::result(result).map(drop)
}

/// # Safety
/// `result` must be the new descriptor, or -1, that a system call has just returned.
unsafe fn new_descriptor(result: libc::c_long) -> Result<OwnedFd, Errno> {
    let number = i32::try_from(Errno::result(result)?).map_err(|_| Errno::EMFILE)?;
    // SAFETY: by this function's own condition the descriptor is new, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
