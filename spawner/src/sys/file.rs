//! Attributes of files: extended ones, and a mode by descriptor.

use nix::errno::Errno;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd};

/// Reads an extended attribute of a file into `value`; returns the attribute's length.
///
/// # Errors
/// `ENODATA` where the file has none of this name, `ERANGE` where it is longer than `value`.
pub fn attribute(path: &CStr, name: &CStr, value: &mut [u8]) -> Result<usize, Errno> {
    let buffer = value.as_mut_ptr().cast();
    // SAFETY: path and name are C strings, and the buffer is as long as said; all outlive the call.
    let length = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), buffer, value.len()) };
    Errno::result(length).map(isize::cast_unsigned)
}

/// Gives an open file an extended attribute.
///
/// # Errors
/// `ENOTSUP` where the file system has none of this kind.
pub fn set_attribute(file: impl AsFd, name: &CStr, value: &[u8]) -> Result<(), Errno> {
    let fd = file.as_fd().as_raw_fd();
    let (data, length) = (value.as_ptr().cast(), value.len());
    // SAFETY: the name is a C string, the value is as long as said; both outlive the call.
    Errno::result(unsafe { libc::fsetxattr(fd, name.as_ptr(), data, length, 0) }).map(drop)
}

/// Sets the mode of an open file. Unlike fchmod(2) it takes a descriptor that was opened with
/// O_PATH.
///
/// # Errors
/// `ENOSYS` before Linux 6.6, `EPERM` for somebody else's file.
pub fn set_mode(file: impl AsFd, mode: u32) -> Result<(), Errno> {
    let fd = file.as_fd().as_raw_fd();
    // SAFETY: the path is an empty C string, all else are numbers.
    let result = unsafe {
        libc::syscall(
            libc::SYS_fchmodat2,
            fd,
            c"".as_ptr(),
            mode,
            libc::AT_EMPTY_PATH,
        )
    };
    Errno::result(result).map(drop)
}
