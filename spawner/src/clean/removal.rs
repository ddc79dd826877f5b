//! Removes what hostile code left.
//!
//! It never follows a link, never goes deeper than one level, and gives up after a bounded number
//! of entries. It moves deeper directories up first, so that depth costs neither stack nor
//! descriptors.

use codejail_protocol::ScratchName;
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, renameat};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Most entries that one removal takes away: as many files as one can create in a minute. A
/// directory that holds more stays and is reported.
const ENTRIES_MAX: u64 = 10_000_000;

/// Most names in memory at once: some 5 MB.
const LISTING_MAX: usize = 65_536;

/// Removes the directory `name` below `root` with all it holds. A directory that is not there is
/// fine.
///
/// # Errors
/// Something can't be removed, or there is too much of it.
pub fn remove(root: &Path, name: &ScratchName) -> Result<(), Errno> {
    let root = open(AT_FDCWD, root)?;
    match open(&root, Path::new(name.as_str())) {
        Ok(top) => empty(&top)?,
        Err(Errno::ENOENT) => return Ok(()),
        Err(errno) => return Err(errno),
    }
    unlinkat(&root, name.as_str(), UnlinkatFlags::RemoveDir)
}

/// Removes all that a directory holds.
///
/// # Errors
/// Something can't be removed, or there is too much of it.
pub fn empty<Fd: AsFd>(directory: Fd) -> Result<(), Errno> {
    let top = open(directory, Path::new("."))?;
    let mut removal = Removal {
        moved: 0,
        entries: 0,
    };
    // A listing may miss what is moved up after it was read; the next listing finds that.
    loop {
        let mut listing = open(&top, Path::new("."))?;
        let found = names(&mut listing)?;
        if found.is_empty() {
            return Ok(());
        }
        for (entry, kind) in found {
            removal.remove_entry(&top, &entry, kind)?;
        }
    }
}

/// The bounds of one removal.
struct Removal {
    moved: u64,
    entries: u64,
}

impl Removal {
    /// Removes one entry of the top directory. A directory is emptied first; those in it that are
    /// not empty move up beside it.
    fn remove_entry(&mut self, top: &Dir, name: &CStr, kind: Option<Type>) -> Result<(), Errno> {
        self.count()?;
        if kind != Some(Type::Directory) {
            match unlinkat(top, name, UnlinkatFlags::NoRemoveDir) {
                Err(Errno::EISDIR | Errno::EPERM) => {}
                done => return done,
            }
        }
        // Where this process is not root, the owner may have locked itself out.
        fchmodat(top, name, Mode::S_IRWXU, FchmodatFlags::NoFollowSymlink)?;
        let mut directory = open(top, Path::new(OsStr::from_bytes(name.to_bytes())))?;
        for (entry, kind) in names(&mut directory)? {
            self.count()?;
            let flag = match kind {
                Some(Type::Directory) => UnlinkatFlags::RemoveDir,
                _ => UnlinkatFlags::NoRemoveDir,
            };
            match unlinkat(&directory, entry.as_c_str(), flag) {
                Ok(()) => {}
                Err(
                    Errno::ENOTEMPTY | Errno::EEXIST | Errno::EISDIR | Errno::EPERM | Errno::EACCES,
                ) => {
                    self.moved += 1;
                    let fresh = CString::new(format!(".codejail-{}", self.moved))
                        .map_err(|_| Errno::EINVAL)?;
                    let mode = Mode::S_IRWXU;
                    fchmodat(
                        &directory,
                        entry.as_c_str(),
                        mode,
                        FchmodatFlags::NoFollowSymlink,
                    )?;
                    renameat(&directory, entry.as_c_str(), top, fresh.as_c_str())?;
                }
                Err(errno) => return Err(errno),
            }
        }
        match unlinkat(top, name, UnlinkatFlags::RemoveDir) {
            // More than one listing holds: the caller comes back to it.
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => Ok(()),
            done => done,
        }
    }

    fn count(&mut self) -> Result<(), Errno> {
        self.entries += 1;
        if self.entries > ENTRIES_MAX {
            return Err(Errno::EFBIG);
        }
        Ok(())
    }
}

/// Opens a directory below another, never through a link.
///
/// # Errors
/// What openat(2) says.
pub fn open<Fd: AsFd>(at: Fd, path: &Path) -> Result<Dir, Errno> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
    Dir::openat(at, path, flags, Mode::empty())
}

/// Names in a directory, at most [`LISTING_MAX`] of them, read before anything in it changes.
fn names(directory: &mut Dir) -> Result<Vec<(CString, Option<Type>)>, Errno> {
    let mut names = Vec::new();
    for entry in directory.iter().take(LISTING_MAX) {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push((name.to_owned(), entry.file_type()));
        }
    }
    Ok(names)
}
