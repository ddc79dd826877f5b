//! The directory of a service for what waits to be removed, and the lock that tells whether the
//! service lives.
//!
//! It is the first thing that a service makes below its scratch root and the last that it removes.
//! Its spawner holds the directory's lock (flock(2)) to its end, whatever ends it: no other program
//! has the descriptor, which is closed at exec. The kernel keeps the lock with the directory, so it
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

/// A file in it that is made under the lock, so that a directory without it is not judged by its
/// lock. Its text is the first uid of the service's workers and sandboxes, and the first one after
/// them.
const MARK: &CStr = c".service";
/// Longest text of it that is read: two numbers of ten digits.
const MARK_BYTES_MAX: u64 = 32;

/// A trash directory whose lock this process holds: its own, or one of a dead service.
#[derive(Debug)]
pub struct Trash {
    /// Whose directories the service's are.
    pub owners: Owners,
    name: CString,
    _lock: Flock<File>,
}

impl Trash {
    /// Makes the one of this service in `root`.
    ///
    /// # Errors
    /// It is there already, or can't be made.
    pub fn make(root: impl AsFd, tag: &ScratchName, owners: Owners) -> io::Result<Self> {
        let name = CString::new(tag.as_str())?;
        mkdirat(&root, name.as_c_str(), Mode::S_IRWXU)?;
        // Whoever looks at it at this very moment has the lock for microseconds.
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

    /// Takes over the one of a dead service; none for a living one, and for whatever else has that
    /// name: only what a spawner of this very user has made is believed.
    pub fn of_dead(root: impl AsFd, tag: &ScratchName) -> Option<Self> {
        let name = CString::new(tag.as_str()).ok()?;
        let directory = open(&root, &name).ok()?;
        let stat = fstat(&directory).ok()?;
        let mode = Mode::from_bits_truncate(stat.st_mode);
        // Else somebody else could have put something there.
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

    /// Opens it: by name, so that one that somebody has removed can be put back.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn open(&self, root: impl AsFd) -> Result<Dir, RemovalError> {
        let own = Owners(0..0);
        Ok(Found::of_owners(root, &self.name, &own)?.open()?)
    }

    /// Removes it and what is in it, the mark last.
    ///
    /// # Errors
    /// Something in it can't be removed: then it stays, and so does its mark.
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

/// What the mark says. A directory that lost it meanwhile was another service's to clean up.
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
