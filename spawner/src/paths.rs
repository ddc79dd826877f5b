//! Paths and other text as the C strings that system calls take.

use crate::error::LaunchError;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Bytes as a C string.
///
/// # Errors
/// They hold a zero byte.
pub fn c_string(bytes: &[u8]) -> Result<CString, LaunchError> {
    CString::new(bytes)
        .map_err(|_| LaunchError::ZeroByte(String::from_utf8_lossy(bytes).into_owned()))
}

/// A path as it is.
///
/// # Errors
/// It holds a zero byte.
pub fn c_path(path: &Path) -> Result<CString, LaunchError> {
    c_string(path.as_os_str().as_bytes())
}

/// A path of the host without its first slash: the same path relative to another root.
///
/// # Errors
/// It holds a zero byte.
pub fn relative(path: &Path) -> Result<CString, LaunchError> {
    c_path(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_path_starts_below_the_root() {
        for path in ["/usr/lib", "usr/lib"] {
            let relative = relative(Path::new(path)).unwrap();
            assert_eq!(relative.as_c_str(), c"usr/lib");
        }
    }

    #[test]
    fn a_zero_byte_is_an_error_that_shows_the_path() {
        let error = c_path(Path::new("/a\0b")).unwrap_err();
        assert_eq!(error.to_string(), r#""/a\0b" holds a zero byte"#);
    }
}
