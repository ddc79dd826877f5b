//! Extended attributes of files, read.

use nix::errno::Errno;
use std::ffi::CStr;

/// Reads an attribute of a file into `value`; returns the attribute's length.
///
/// # Errors
/// `ENODATA` where the file has none of this name, `ERANGE` where it is longer than `value`.
pub fn get(path: &CStr, name: &CStr, value: &mut [u8]) -> Result<usize, Errno> {
    let buffer = value.as_mut_ptr().cast();
    // SAFETY: path and name are C strings, and the buffer is as long as said; all outlive the call.
    let length = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), buffer, value.len()) };
    Errno::result(length).map(isize::cast_unsigned)
}
