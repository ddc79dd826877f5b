//! Why the image did not move.

use nix::errno::Errno;
use std::io;

/// Why the image, or a part of it, is not in a sealed file.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A kernel without CONFIG_PROC_PAGE_MONITOR.
    #[error("this kernel does not say what its processes map (/proc/self/smaps)")]
    NoMappings,
    /// The file could not be read.
    #[error("/proc/self/smaps: {0}")]
    Mappings(#[from] io::Error),
    /// The file had more bytes than there was room for, because it grew.
    #[error("/proc/self/smaps: it grew while it was read")]
    Grew,
    /// A system call failed: no memory file, no room in it, or a limit on the size of files.
    #[error("{0}: {1}")]
    System(&'static str, Errno),
}

impl ImageError {
    /// For `map_err`: the error names the call that failed.
    pub fn at(call: &'static str) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::System(call, errno)
    }
}
