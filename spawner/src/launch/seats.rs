//! Seats: a file system for each sandbox that a worker can have at a time, bounded in bytes and
//! files.
//!
//! The spawner mounts a seat once, in its worker's root alone, when it launches the worker. Between
//! two executions it empties the seat through a descriptor. So no execution can take the space of
//! another. A seat is not visible on the host, and the kernel removes it with the worker, however
//! the worker ends.

use crate::error::LaunchError;
use crate::sys::mount::{self, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID};
use codejail_protocol::ScratchName;
use codejail_protocol::spawn::SpawnerConfig;
use nix::errno::Errno;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// Most bytes in a worker's own directory: its script, and what libraries write while they are
/// imported.
const HOME_BYTES_MAX: u64 = 256 << 20;
/// Most files in a worker's own directory.
const HOME_FILES_MAX: u64 = 16_384;

/// The file systems of one worker.
#[derive(Debug)]
pub struct Seats {
    /// The worker's own directory, which belongs to the spawner's user.
    pub home: (ScratchName, OwnedFd),
    seats: Vec<(ScratchName, Arc<OwnedFd>)>,
}

impl Seats {
    /// Makes a worker's file systems. `home` is the name of the worker's own directory, `names` are
    /// the names of its sandboxes' seats. The seats belong to `uid`, the worker's user.
    ///
    /// # Errors
    /// The kernel can't or won't make them.
    pub fn make(
        config: &SpawnerConfig,
        home: ScratchName,
        names: Vec<ScratchName>,
        uid: Option<u32>,
    ) -> Result<Self, LaunchError> {
        let failed = |errno| LaunchError::System("make a scratch file system", errno);
        let home_mount =
            file_system(HOME_BYTES_MAX, HOME_FILES_MAX, c"0755", None).map_err(failed)?;
        let seats = names
            .into_iter()
            .map(|name| {
                let bounds = &config.bounds;
                let (bytes, files) = (bounds.scratch_bytes_max, bounds.scratch_files_max);
                // The group may write there until the job's files are in place.
                let mount = file_system(bytes, files, c"0775", uid).map_err(failed)?;
                Ok((name, Arc::new(mount)))
            })
            .collect::<Result<_, LaunchError>>()?;
        Ok(Self {
            home: (home, home_mount),
            seats,
        })
    }

    /// All file systems of the worker, with their names below the scratch root.
    pub fn mounts(&self) -> impl Iterator<Item = (BorrowedFd<'_>, &str)> {
        let seats = self.seats.iter();
        let seats = seats.map(|(name, mount)| (mount.as_fd(), name.as_str()));
        let (home, mount) = &self.home;
        seats.chain([(mount.as_fd(), home.as_str())])
    }

    /// The seat of this name.
    #[must_use]
    pub fn find(&self, name: &ScratchName) -> Option<Arc<OwnedFd>> {
        let mut seats = self.seats.iter();
        seats
            .find(|(seat, _)| seat == name)
            .map(|(_, mount)| Arc::clone(mount))
    }
}

/// A tmpfs (tmpfs(5)) without execution, device files and set-user-ID bits.
fn file_system(
    bytes_max: u64,
    files_max: u64,
    mode: &std::ffi::CStr,
    uid: Option<u32>,
) -> Result<OwnedFd, Errno> {
    let text = |number: u64| CString::new(number.to_string()).map_err(|_| Errno::EINVAL);
    let (size, inodes) = (text(bytes_max)?, text(files_max)?);
    let owner = text(
        uid.unwrap_or_else(|| nix::unistd::geteuid().as_raw())
            .into(),
    )?;
    let options = [
        (c"size", size.as_c_str()),
        (c"nr_inodes", &inodes),
        (c"mode", mode),
        (c"uid", &owner),
        (c"gid", &owner),
    ];
    let attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    mount::new_mount(c"tmpfs", &options, attributes)
}
