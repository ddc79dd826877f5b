//! Ranges of uids. A lock owns each range, so that two services of any tests on one host, of root or
//! of anybody else, never share a uid.

use crate::processes;
use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Uids from here on belong to nothing else on a test machine.
const FIRST: u32 = 350_000_000;
/// Uids of one range: more than a service of a test has workers and sandboxes.
const SIZE: u32 = 1_000;
/// Ranges that are tried: far more than services can run on one host at a time.
const RANGES: u32 = 10_000;

/// A lock file for each range that was ever used. The files stay: removing a file that somebody else
/// is about to lock would give one range to two.
const LOCKS: &str = "/tmp/codejail-test-uids";

/// A range of 1,000 uids that nobody else has, until this is dropped.
#[derive(Debug)]
pub struct UidRange {
    first: u32,
    _lock: Flock<File>,
}

impl UidRange {
    /// Takes the first range that is free and in which no process lives.
    ///
    /// # Errors
    /// The directory of the locks can't be made, or every range is taken.
    pub fn try_take() -> Result<Self> {
        make_lock_dir().with_context(|| LOCKS.to_owned())?;
        for first in (FIRST..).step_by(SIZE as usize).take(RANGES as usize) {
            let Some(lock) = lock(first)? else { continue };
            let range = Self { first, _lock: lock };
            // A test that failed may have left something.
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

    /// The first of them: the user of the service's HTTP side, or of a whole service that is not
    /// started as root.
    #[must_use]
    pub fn user(&self) -> u32 {
        self.first
    }

    /// The second of them: the first uid of workers and sandboxes, of which there may be 999.
    #[must_use]
    pub fn uid_base(&self) -> u32 {
        self.first + 1
    }
}

fn make_lock_dir() -> std::io::Result<()> {
    match fs::create_dir(LOCKS) {
        // For everybody, as `/tmp`.
        Ok(()) => fs::set_permissions(LOCKS, Permissions::from_mode(0o1777)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// The range's lock; none if somebody else holds it, or owns the file and keeps it closed.
fn lock(first: u32) -> Result<Option<Flock<File>>> {
    let path = Path::new(LOCKS).join(first.to_string());
    let Some(file) = open(&path).with_context(|| path.display().to_string())? else {
        return Ok(None);
    };
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno).with_context(|| format!("{}: flock", path.display())),
    }
}

fn open(path: &Path) -> std::io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(OFlag::O_NOFOLLOW.bits());
    loop {
        // Without O_CREAT first: the kernel refuses it for a file of another user in a directory as
        // this one (`fs.protected_regular`).
        match options.open(path) {
            Ok(file) => return Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(None),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Err(_) => {}
        }
        match options.clone().write(true).create_new(true).open(path) {
            Ok(file) => {
                // Whatever the umask: others lock it too.
                file.set_permissions(Permissions::from_mode(0o644))?;
                return Ok(Some(file));
            }
            // Somebody else was quicker.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}
