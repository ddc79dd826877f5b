//! A worker's own directory and its content. The directory is on the host's file system or on a
//! file system of its own.

use super::seats::Seats;
use crate::error::LaunchError;
use codejail_protocol::ScratchName;
use codejail_protocol::spawn::SpawnerConfig;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::{Gid, Uid, fchownat};
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// The script that the worker's Python runs. It loads the worker module.
const BOOTSTRAP: &str = include_str!("bootstrap.py");

/// Makes the seats of a worker and its furnished directory on a file system of its own.
///
/// # Errors
/// The kernel can't or won't make one.
pub fn seats(
    config: &SpawnerConfig,
    dir: ScratchName,
    names: Vec<ScratchName>,
    uid: Option<u32>,
) -> Result<Seats, LaunchError> {
    let seats = Seats::make(config, dir, names, uid)?;
    let (name, home) = &seats.home;
    furnish(home, uid).map_err(|error| LaunchError::File(name.to_string(), error))?;
    Ok(seats)
}

/// Makes a worker's furnished directory on the host's own file system.
///
/// # Errors
/// It is there already, or can't be made.
pub fn directory(path: &Path, uid: Option<u32>) -> Result<(), LaunchError> {
    make_directory(path, uid).map_err(|error| LaunchError::File(path.display().to_string(), error))
}

/// Makes the directory so that nobody may enter it before its content is in place.
fn make_directory(path: &Path, uid: Option<u32>) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)?;
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let directory = openat(AT_FDCWD, path, flags, Mode::empty())?;
    furnish(&directory, uid)?;
    Ok(fchmod(&directory, Mode::from_bits_truncate(0o755))?)
}

/// Puts a worker's script into its directory, readable for Python as any user, and a `tmp` of its
/// own for what libraries write while they are imported.
fn furnish(directory: &OwnedFd, uid: Option<u32>) -> io::Result<()> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let mode = Mode::from_bits_truncate(0o600);
    let script = openat(directory, "jailed_code", flags, mode)?;
    fchmod(&script, Mode::from_bits_truncate(0o644))?;
    File::from(script).write_all(BOOTSTRAP.as_bytes())?;
    mkdirat(directory, "tmp", Mode::S_IRWXU)?;
    let (user, group) = (uid.map(Uid::from_raw), uid.map(Gid::from_raw));
    let chowned = fchownat(directory, "tmp", user, group, AtFlags::AT_SYMLINK_NOFOLLOW);
    Ok(chowned?)
}
