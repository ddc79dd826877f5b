//! Why a worker, or the host for one, could not be made ready.

use nix::errno::Errno;
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Why a worker could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The supervisor asked for what it may not have.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// A file or directory that a launch needs.
    #[error("{0}: {1}")]
    File(String, #[source] io::Error),
    /// A path or variable that holds a zero byte.
    #[error("{0:?} holds a zero byte")]
    ZeroByte(String),
    /// A system call that prepares the launch, or the clone itself.
    #[error("{0}: {1}")]
    System(&'static str, #[source] Errno),
    /// The new process failed before it became Python.
    #[error("in the new process: {0}: {1}")]
    Child(String, #[source] Errno),
    /// The layer is required and this host does not give it.
    #[error(
        "layers.{layer} is required, but this host gives none ({cause}): {remedy}, or set \
         layers.{layer} = \"auto\""
    )]
    Layer {
        /// Its name.
        layer: &'static str,
        /// What the host said.
        cause: String,
        /// What would help.
        remedy: &'static str,
    },
}

impl LaunchError {
    /// A required layer that is missing.
    pub fn layer(layer: &'static str, cause: impl ToString, remedy: &'static str) -> Self {
        Self::Layer {
            layer,
            cause: cause.to_string(),
            remedy,
        }
    }

    /// Whether the directory that was to be made is there already, and so somebody else's.
    pub fn is_existing_directory(&self) -> bool {
        matches!(self, Self::File(_, error) if error.kind() == io::ErrorKind::AlreadyExists)
    }
}

/// Names the step of a system call's error.
pub fn system(what: &'static str) -> impl FnOnce(Errno) -> LaunchError {
    move |errno| LaunchError::System(what, errno)
}

/// Bytes as a C string.
///
/// # Errors
/// They hold a zero byte.
pub fn c_string(bytes: &[u8]) -> Result<CString, LaunchError> {
    CString::new(bytes)
        .map_err(|_| LaunchError::ZeroByte(String::from_utf8_lossy(bytes).into_owned()))
}

/// A path of the host as one from the new root on.
pub fn relative(path: &Path) -> Result<CString, LaunchError> {
    let path = path.strip_prefix("/").unwrap_or(path);
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| LaunchError::ZeroByte(path.display().to_string()))
}
