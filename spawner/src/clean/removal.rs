//! Removes what hostile code left.
//!
//! A removal never follows a link, never goes deeper than one level, and gives up after a bounded
//! number of entries. It moves deeper directories up first, so depth costs neither stack nor
//! descriptors. It opens each thing that it changes, since a name may lead elsewhere a moment
//! later.

use crate::host::capabilities;
use crate::sys::file;
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, renameat};
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat, fstat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use std::ffi::{CStr, CString};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

/// Most entries that one removal takes away: about as many files as a process can create in a
/// minute. A directory that holds more stays and is reported.
const ENTRIES_MAX: u64 = 10_000_000;

/// Most names in memory at once: some 5 MB.
const LISTING_MAX: usize = 65_536;

/// Why a directory stays.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemovalError {
    /// Somebody else has made something of this name.
    #[error("it belongs to uid {0}, which is not one of this service's")]
    Foreign(u32),
    /// The system refused, or the directory holds too many entries.
    #[error(transparent)]
    System(#[from] Errno),
}

impl RemovalError {
    /// The error in words, for the supervisor.
    pub fn told(&self) -> String {
        let errno = match self {
            Self::Foreign(_) => None,
            Self::System(errno) => Some(*errno),
        };
        capabilities::told(self, errno)
    }
}

/// The owners of a service's directories: this process's user, and the users of its workers and
/// sandboxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owners(pub Range<u32>);

/// The file behind a name, opened (O_PATH) only to ask about it and to change its mode.
#[derive(Debug)]
pub struct Found(OwnedFd);

impl Found {
    /// Finds the directory `name`, if it is one of this service's.
    ///
    /// # Errors
    /// `ENOENT`; `ENOTDIR` for a link or a file; the directory belongs to somebody else.
    pub fn of_owners(at: impl AsFd, name: &CStr, owners: &Owners) -> Result<Self, RemovalError> {
        let found = Self::new(at, name)?;
        let owner = fstat(&found.0)?.st_uid;
        if owner != geteuid().as_raw() && !owners.0.contains(&owner) {
            return Err(RemovalError::Foreign(owner));
        }
        Ok(found)
    }

    fn new(at: impl AsFd, name: &CStr) -> Result<Self, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(at, name, flags, Mode::empty()).map(Self)
    }

    /// Opens the directory to read and to change its entries, also if its owner has taken all
    /// rights from it.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(&self) -> Result<Dir, Errno> {
        let here = Path::new(".");
        let directory = match open(&self.0, here) {
            Err(Errno::EACCES) => {
                self.unlock()?;
                open(&self.0, here)?
            }
            opened => opened?,
        };
        let owner = Mode::S_IRWXU;
        if !Mode::from_bits_truncate(fstat(&directory)?.st_mode).contains(owner) {
            fchmod(&directory, owner)?;
        }
        Dir::from_fd(directory)
    }

    /// Gives the owner all rights again. fchmod(2) takes no descriptor that was opened with O_PATH.
    /// So this uses the descriptor's entry in `/proc`, or without a `/proc` a call of Linux 6.6.
    ///
    /// # Errors
    /// What the system says.
    pub fn unlock(&self) -> Result<(), Errno> {
        let entry = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        let mode = Mode::S_IRWXU;
        match fchmodat(AT_FDCWD, entry.as_str(), mode, FchmodatFlags::FollowSymlink) {
            Err(Errno::ENOENT) => file::set_mode(&self.0, mode.bits()),
            done => done,
        }
    }
}

/// Removes the directory `name` in `root` with all it holds. A directory that does not exist is no
/// error.
///
/// # Errors
/// The directory is somebody else's, something in it can't be removed, or it holds too many
/// entries.
pub fn remove(root: impl AsFd, name: &CStr, owners: &Owners) -> Result<(), RemovalError> {
    match Found::of_owners(&root, name, owners) {
        Ok(found) => empty_but(&found.open()?, None)?,
        Err(RemovalError::System(Errno::ENOENT)) => return Ok(()),
        Err(error) => return Err(error),
    }
    Ok(unlinkat(&root, name, UnlinkatFlags::RemoveDir)?)
}

/// Removes all that a directory holds.
///
/// # Errors
/// Something can't be removed, or there are too many entries.
pub fn empty(directory: impl AsFd) -> Result<(), Errno> {
    empty_but(&Found::new(directory, c".")?.open()?, None)
}

/// Removes everything in a directory except one entry.
///
/// # Errors
/// Something can't be removed, or there are too many entries.
pub fn empty_but(top: &Dir, kept: Option<&CStr>) -> Result<(), Errno> {
    let mut removal = Removal {
        moved: 0,
        entries: 0,
    };
    // A listing may miss a directory that moves up after the listing was read; the next listing
    // finds it.
    loop {
        let mut listing = Dir::from_fd(open(top, Path::new("."))?)?;
        let mut found = names(&mut listing)?;
        found.retain(|(name, _)| Some(name.as_c_str()) != kept);
        if found.is_empty() {
            return Ok(());
        }
        for (entry, kind) in found {
            removal.remove_entry(top, &entry, kind)?;
        }
    }
}

/// The bounds of one removal.
struct Removal {
    moved: u64,
    entries: u64,
}

impl Removal {
    /// Removes one entry of the top directory. A directory is emptied first; its subdirectories
    /// that are not empty move up beside it.
    fn remove_entry(&mut self, top: &Dir, name: &CStr, kind: Option<Type>) -> Result<(), Errno> {
        self.count()?;
        let mut refusal = Errno::ENOTDIR;
        if kind != Some(Type::Directory) {
            match unlinkat(top, name, UnlinkatFlags::NoRemoveDir) {
                Err(errno @ (Errno::EISDIR | Errno::EPERM)) => refusal = errno,
                done => return done,
            }
        }
        let found = Found::new(top, name).map_err(or_if_no_directory(refusal))?;
        let mut directory = found.open()?;
        for (entry, kind) in names(&mut directory)? {
            self.count()?;
            let flag = match kind {
                Some(Type::Directory) => UnlinkatFlags::RemoveDir,
                _ => UnlinkatFlags::NoRemoveDir,
            };
            match unlinkat(&directory, entry.as_c_str(), flag) {
                Ok(()) => {}
                Err(
                    refusal @ (Errno::ENOTEMPTY
                    | Errno::EEXIST
                    | Errno::EISDIR
                    | Errno::EPERM
                    | Errno::EACCES),
                ) => {
                    let moved = self.move_up(&directory, &entry, top);
                    moved.map_err(or_if_no_directory(refusal))?;
                }
                Err(errno) => return Err(errno),
            }
        }
        match unlinkat(top, name, UnlinkatFlags::RemoveDir) {
            // The directory has more entries than one listing holds: the caller comes back to it.
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => Ok(()),
            done => done,
        }
    }

    /// Moves a directory up beside its parent. The directory's own mode must allow that, since the
    /// move changes its entry `..`.
    fn move_up(&mut self, from: &Dir, entry: &CStr, top: &Dir) -> Result<(), Errno> {
        self.moved += 1;
        let fresh = CString::new(format!(".codejail-{}", self.moved)).map_err(|_| Errno::EINVAL)?;
        Found::new(from, entry)?.open()?;
        renameat(from, entry, top, fresh.as_c_str())
    }

    fn count(&mut self) -> Result<(), Errno> {
        self.entries += 1;
        if self.entries > ENTRIES_MAX {
            return Err(Errno::EFBIG);
        }
        Ok(())
    }
}

/// For an entry that could not be removed: `refusal` if the entry turns out to be no directory,
/// else the given error.
fn or_if_no_directory(refusal: Errno) -> impl FnOnce(Errno) -> Errno {
    move |errno| match errno {
        Errno::ENOTDIR => refusal,
        errno => errno,
    }
}

/// Opens a directory below another; never follows a link.
///
/// # Errors
/// What openat(2) says.
pub fn open(at: impl AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
    openat(at, path, flags, Mode::empty())
}

/// The names in a directory, at most [`LISTING_MAX`] of them, read before anything in the directory
/// changes.
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    fn make(test: &str) -> (PathBuf, OwnedFd) {
        let dir = std::env::temp_dir().join(format!("cj-removal-{test}-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let opened = open(AT_FDCWD, &dir).unwrap();
        (dir, opened)
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_mode_is_given_to_what_was_found_and_not_to_what_has_its_name_now() {
        let (dir, root) = make("swap");
        let (found, moved, other) = (dir.join("found"), dir.join("moved"), dir.join("other"));
        for path in [&found, &other] {
            fs::create_dir(path).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o555)).unwrap();
        }
        let held = Found::new(&root, c"found").unwrap();
        fs::rename(&found, &moved).unwrap();
        symlink(&other, &found).unwrap();
        held.unlock().unwrap();
        assert_eq!((mode(&moved), mode(&other)), (0o700, 0o555));
        let linked = remove(&root, c"found", &Owners(0..0));
        assert_eq!(linked, Err(RemovalError::System(Errno::ENOTDIR)));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_mode_can_be_given_without_proc_where_the_kernel_has_a_call() {
        let (dir, root) = make("call");
        fs::create_dir(dir.join("closed")).unwrap();
        let held = Found::new(&root, c"closed").unwrap();
        match file::set_mode(&held.0, 0o711) {
            Err(Errno::ENOSYS) => {}
            done => {
                done.unwrap();
                assert_eq!(mode(&dir.join("closed")), 0o711);
            }
        }
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn one_entry_may_be_kept() {
        let (dir, root) = make("kept");
        for entry in ["kept", "a", "b"] {
            fs::write(dir.join(entry), "").unwrap();
        }
        fs::create_dir_all(dir.join("deep/er")).unwrap();
        let top = Found::new(&root, c".").unwrap().open().unwrap();
        empty_but(&top, Some(c"kept")).unwrap();
        let left = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap());
        let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["kept"]);
        fs::remove_dir_all(&dir).unwrap();
    }
}
