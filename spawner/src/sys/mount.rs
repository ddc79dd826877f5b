//! The kernel's mount calls by descriptor (Linux 5.2; mount_setattr 5.12), one thin function each.
//!
//! A file system made this way is attached nowhere until it is moved somewhere, so nothing of it shows
//! on the host, and it goes with the last descriptor and the last namespace that has it. All of these
//! are bare system calls, fit for a child of clone.

use nix::errno::Errno;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
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
/// `EPERM` without CAP_SYS_ADMIN over the mount namespace, `ENOSYS` before Linux 5.2, `EINVAL` for an
/// option that the kernel does not know.
pub fn new_mount(
    name: &CStr,
    options: &[(&CStr, &CStr)],
    attributes: u64,
) -> Result<OwnedFd, Errno> {
    // SAFETY: the name is a C string that outlives the call.
    let context = descriptor(unsafe {
        libc::syscall(libc::SYS_fsopen, name.as_ptr(), libc::FSOPEN_CLOEXEC)
    })?;
    for (key, value) in options {
        configure(&context, libc::FSCONFIG_SET_STRING, Some((key, value)))?;
    }
    configure(&context, libc::FSCONFIG_CMD_CREATE, None)?;
    // SAFETY: fsmount(2) takes a descriptor and two numbers.
    descriptor(unsafe {
        libc::syscall(
            libc::SYS_fsmount,
            context.as_raw_fd(),
            libc::FSMOUNT_CLOEXEC,
            attributes,
        )
    })
}

fn configure(
    context: &OwnedFd,
    command: libc::fsconfig_command,
    option: Option<(&CStr, &CStr)>,
) -> Result<(), Errno> {
    let (key, value) = option.map_or((ptr::null(), ptr::null()), |(key, value)| {
        (key.as_ptr(), value.as_ptr())
    });
    // SAFETY: key and value are C strings that outlive the call, or null for a command without them.
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

/// A copy of what is mounted at and below `path`, attached nowhere yet.
///
/// # Errors
/// What open_tree(2) says.
pub fn copy_of(path: &CStr) -> Result<OwnedFd, Errno> {
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | AT_RECURSIVE;
    // SAFETY: the path is a C string that outlives the call.
    descriptor(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })
}

/// Adds attributes to a mount and all below it; none that it has is taken away.
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
    // SAFETY: the path is empty, the change is a live structure of the size given.
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
pub fn attach(mount: RawFd, path: &CStr) -> Result<(), Errno> {
    // SAFETY: both paths are C strings that outlive the call.
    done(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount,
            c"".as_ptr(),
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    })
}

/// Takes the current directory, a mount, for the root, and lets the old root go (pivot_root(2),
/// "pivot_root(".", ".")").
///
/// # Errors
/// What pivot_root(2) or umount2(2) says.
pub fn become_root() -> Result<(), Errno> {
    // SAFETY: all paths are C strings.
    unsafe {
        done(libc::syscall(
            libc::SYS_pivot_root,
            c".".as_ptr(),
            c".".as_ptr(),
        ))?;
        done(libc::umount2(c".".as_ptr(), libc::MNT_DETACH).into())?;
        done(libc::chdir(c"/".as_ptr()).into())
    }
}

/// Cuts this namespace off from what is mounted and unmounted elsewhere, and the reverse.
///
/// # Errors
/// What mount(2) says.
pub fn stop_propagation() -> Result<(), Errno> {
    // SAFETY: one path, a C string; the other pointers may be null for a change of propagation.
    done(
        unsafe {
            libc::mount(
                ptr::null(),
                c"/".as_ptr(),
                ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                ptr::null(),
            )
        }
        .into(),
    )
}

fn done(result: libc::c_long) -> Result<(), Errno> {
    Errno::result(result).map(drop)
}

fn descriptor(result: libc::c_long) -> Result<OwnedFd, Errno> {
    let number = Errno::result(result)?;
    // SAFETY: the call has just made this descriptor for us; descriptors are small positive numbers.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(number).map_err(|_| Errno::EMFILE)?) })
}
