//! A service's trash: the directory for what waits to be removed, with the lock that tells whether
//! the service lives.
//!
//! A service makes its trash first below its scratch root and removes it last. The spawner holds
//! the directory's lock (flock(2)) until the spawner ends, whatever ends it: no other program has
//! the descriptor, which is closed at exec. The kernel keeps the lock with the directory, so it
//! holds between containers that share the scratch root, too. systemd-tmpfiles(8) leaves a locked
//! directory alone.

use super::removal::{self, Found, Owners, RemovalError};
use codejail_protocol::ScratchName;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

/// The mark: a file in the trash that is made under the lock. The lock of a directory without a
/// mark tells nothing. The mark's text is the first uid of the service's workers and sandboxes, and
/// the first uid after them.
const MARK: &CStr = c".service";
/// Bytes of a mark that are read: enough for two numbers of ten digits.
const MARK_BYTES_MAX: u64 = 32;

/// A trash directory whose lock this process holds: this service's, or that of a dead service.
#[derive(Debug)]
pub struct Trash {
    /// The owners of the service's directories.
    pub owners: Owners,
    name: CString,
    _lock: Flock<File>,
}

impl Trash {
    /// Makes the trash of this service in `root`.
    ///
    /// # Errors
    /// The directory is there already, or can't be made.
    pub fn make(root: impl AsFd, tag: &ScratchName, owners: Owners) -> io::Result<Self> {
        let name = CString::new(tag.as_str())?;
        mkdirat(&root, name.as_c_str(), Mode::S_IRWXU)?;
        // Another service that looks at the directory just now holds the lock for microseconds.
        let lock = lock(open(&root, &name)?, FlockArg::LockExclusive)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let mark = openat(&*lock, MARK, flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
        write!(File::from(mark), "{} {}", owners.0.start, owners.0.end)?;
        Ok(Self {
            owners,
            name,
            _lock: lock,
        })
    }

    /// Takes over the trash of a dead service. None for a living service, and for anything else of
    /// that name: we trust only what a spawner of this very user has made.
    pub fn of_dead(root: impl AsFd, tag: &ScratchName) -> Option<Self> {
        let name = CString::new(tag.as_str()).ok()?;
        let directory = open(&root, &name).ok()?;
        let stat = fstat(&directory).ok()?;
        let mode = Mode::from_bits_truncate(stat.st_mode);
        // Otherwise another user could have put something there.
        if stat.st_uid != geteuid().as_raw() || mode.intersects(Mode::S_IRWXG | Mode::S_IRWXO) {
            return None;
        }
        let lock = lock(directory, FlockArg::LockExclusiveNonblock).ok()?;
        let owners = marked_owners(&*lock)?;
        Some(Self {
            owners,
            name,
            _lock: lock,
        })
    }

    /// Opens the trash by its name, so that the caller notices when somebody has removed it.
    ///
    /// # Errors
    /// The directory does not exist any more.
    pub fn open(&self, root: impl AsFd) -> Result<Dir, RemovalError> {
        let own = Owners(0..0);
        Ok(Found::of_owners(root, &self.name, &own)?.open()?)
    }

    /// Removes the trash and its content, the mark last.
    ///
    /// # Errors
    /// Something in it can't be removed: then the trash and its mark stay.
    pub fn remove(self, root: impl AsFd) -> Result<(), RemovalError> {
        let directory = match self.open(&root) {
            Err(RemovalError::System(Errno::ENOENT)) => return Ok(()),
            directory => directory?,
        };
        removal::empty_but(&directory, Some(MARK))?;
        match unlinkat(&directory, MARK, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        let name = self.name.as_c_str();
        Ok(unlinkat(root, name, UnlinkatFlags::RemoveDir)?)
    }
}

fn open(root: impl AsFd, name: &CStr) -> Result<File, Errno> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(root, name, flags, Mode::empty()).map(File::from)
}

fn lock(file: File, how: FlockArg) -> Result<Flock<File>, Errno> {
    Flock::lock(file, how).map_err(|(_, errno)| errno)
}

/// The owners that the mark names. None if the mark is gone: another service is cleaning the
/// directory up.
fn marked_owners(directory: impl AsFd) -> Option<Owners> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let mark = File::from(openat(directory, MARK, flags, Mode::empty()).ok()?);
    let stat = fstat(&mark).ok()?;
    let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
    if kind != SFlag::S_IFREG || stat.st_uid != geteuid().as_raw() {
        return None;
    }
    let mut text = String::new();
    mark.take(MARK_BYTES_MAX).read_to_string(&mut text).ok()?;
    let (first, end) = text.split_once(' ')?;
    Some(Owners(first.parse().ok()?..end.parse().ok()?))
}
