//! Ranges of uids. A lock owns each range, so that two services of any tests on one host, of root
//! or of anybody else, never share a uid.

use crate::processes;
use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Uids from this one on are not used by anything else on a test machine.
const FIRST: u32 = 350_000_000;
/// Uids of one range: more than a service of a test has workers and sandboxes.
const SIZE: u32 = 2_000;
/// How many ranges there are. A range is used again only after all others: the kernel keeps some
/// things of a uid, such as keys, after its last process has ended.
const RANGES: u32 = 50_000;

/// A lock file for each range that is taken now, and the number of the next range.
const LOCKS: &str = "/tmp/codejail-test-uids";
const NEXT: &str = "next";

/// A range of 2,000 uids that belongs to its holder until this is dropped.
#[derive(Debug)]
pub struct UidRange {
    first: u32,
    path: PathBuf,
    _lock: Flock<File>,
}

impl Drop for UidRange {
    fn drop(&mut self) {
        // This happens while the lock is held. If the file stays, the next holder of the range
        // locks it again.
        let _ = fs::remove_file(&self.path);
    }
}

impl UidRange {
    /// Takes the next range that is free and in which no process lives.
    ///
    /// # Errors
    /// The directory of the locks can't be made or written to, or every range is taken.
    pub fn try_take() -> Result<Self> {
        make_lock_dir().with_context(|| LOCKS.to_owned())?;
        for _ in 0..RANGES {
            let first = FIRST + next_number()? * SIZE;
            let path = Path::new(LOCKS).join(first.to_string());
            let Some(lock) = lock(&path)? else { continue };
            let range = Self {
                first,
                path,
                _lock: lock,
            };
            // A failed test may have left processes in this range.
            let lives = |process: &processes::Process| range.uids().contains(&process.uid);
            if !processes::all().iter().any(lives) {
                return Ok(range);
            }
        }
        bail!("{LOCKS}: every range of uids is taken");
    }

    /// Takes a range. Panics where [`Self::try_take`] fails.
    #[must_use]
    pub fn take() -> Self {
        Self::try_take().expect("a range of uids")
    }

    /// All its uids.
    #[must_use]
    pub fn uids(&self) -> Range<u32> {
        self.first..self.first + SIZE
    }

    /// The first uid: the user of the service's HTTP side, or of a whole service that is not
    /// started as root.
    #[must_use]
    pub fn user(&self) -> u32 {
        self.first
    }

    /// The second uid: the first one for workers and sandboxes, of which there may be 999.
    #[must_use]
    pub fn uid_base(&self) -> u32 {
        self.first + 1
    }
}

fn make_lock_dir() -> std::io::Result<()> {
    match fs::create_dir(LOCKS) {
        // Open to everybody, like `/tmp`.
        Ok(()) => fs::set_permissions(LOCKS, Permissions::from_mode(0o1777)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Counts up, for all test processes of this host together.
fn next_number() -> Result<u32> {
    let path = Path::new(LOCKS).join(NEXT);
    let named = || path.display().to_string();
    let file = open(&path, 0o666).with_context(named)?;
    let mut file = Flock::lock(file.with_context(named)?, FlockArg::LockExclusive)
        .map_err(|(_, errno)| errno)
        .with_context(named)?;
    let mut text = String::new();
    file.read_to_string(&mut text).with_context(named)?;
    let number = text.trim().parse::<u32>().map_or(0, |next| next % RANGES);
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", number + 1).with_context(named)?;
    Ok(number)
}

/// The range's lock; `None` if another process holds it or the file can't be opened.
fn lock(path: &Path) -> Result<Option<Flock<File>>> {
    let named = || path.display().to_string();
    loop {
        let Some(file) = open(path, 0o644).with_context(named)? else {
            return Ok(None);
        };
        let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
            Err((_, errno)) => return Err(errno).with_context(named),
        };
        // The last owner may have removed the file before we locked it. Then the lock protects
        // nothing.
        let inode = lock.metadata().with_context(named)?.ino();
        if fs::metadata(path).is_ok_and(|there| there.ino() == inode) {
            return Ok(Some(lock));
        }
    }
}

/// Opens a file, and makes it if it is missing; `None` if its owner does not let others open it.
fn open(path: &Path, mode: u32) -> std::io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(mode & 0o002 != 0)
        .custom_flags(OFlag::O_NOFOLLOW.bits());
    loop {
        // First without O_CREAT: in a directory with this mode the kernel refuses O_CREAT for a
        // file of another user (`fs.protected_regular`).
        match options.open(path) {
            Ok(file) => return Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(None),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Err(_) => {}
        }
        match options.clone().write(true).create_new(true).open(path) {
            Ok(file) => {
                // Set the mode regardless of the umask, since other users open the file too.
                file.set_permissions(Permissions::from_mode(mode))?;
                return Ok(Some(file));
            }
            // Another process was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_range_is_taken_twice_and_none_comes_again_at_once() {
        let (one, other) = (UidRange::take(), UidRange::take());
        assert_ne!(one.first, other.first);
        assert!(lock(&one.path).expect("a file").is_none());
        let (first, path) = (one.first, one.path.clone());
        drop(one);
        assert!(!path.exists());
        assert_ne!(UidRange::take().first, first);
    }
}
