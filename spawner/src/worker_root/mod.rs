//! A worker's root: the files that Python needs, and nothing else of the host. Only the scratch
//! file systems in the root can be changed.
//!
//! The root holds the interpreter's directories, the shared libraries, time zones, four devices and
//! a `/proc` of the worker's own PID namespace. The worker alone may enter this `/proc`. A worker
//! can't reach any other file of the host. Directories that only lead to something readable can be
//! passed but not listed. All names of the host's usual directories (`/etc`, `/usr` and others, see
//! `entries.rs`) exist in the root: those that are not readable are empty files and directories
//! that nobody may open. So such a path gives `EACCES`, as with the original's AppArmor profile. A
//! worker can't find out whether other files of the host exist.

mod entries;
mod proc;

use crate::error::LaunchError;
use crate::paths::relative;
use crate::sys::mount::{self, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID};
use entries::{Bind, Entry};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{Uid, chdir, fchdir, pivot_root, symlinkat};
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// For directories such as `/` and `/usr`: they may be passed, but not listed or written to. We use
/// a mode and not a read-only mount, so that an attempt to write gives `EACCES`, as with the
/// original.
const PASSAGE: Mode = Mode::from_bits_truncate(0o111);
/// For directories that may not even be passed.
const FORBIDDEN: Mode = Mode::empty();

/// The parts of every worker's root.
#[derive(Debug)]
pub struct RootPlan {
    entries: Vec<Entry>,
    binds: Vec<Bind>,
    /// The scratch root, relative to the root.
    scratch: CString,
}

/// One worker's root. It is made but mounted nowhere until the worker's process enters it.
#[derive(Debug)]
pub struct Root<'a> {
    plan: &'a RootPlan,
    root: OwnedFd,
    /// File systems below the scratch root, with their paths.
    scratches: Vec<(BorrowedFd<'a>, CString)>,
    /// One copy for each bind, opened while the old root is still visible.
    copies: Vec<Option<OwnedFd>>,
}

impl RootPlan {
    /// Looks at the host: which paths of `readable` exist, and which links lead to them.
    ///
    /// # Errors
    /// A path has a zero byte, or its links go round in circles.
    pub fn new(readable: &[PathBuf], scratch_root: &Path) -> Result<Self, LaunchError> {
        // The links on the way to the scratch root are made in the root too.
        let (entries, binds) = entries::find(readable, scratch_root)?;
        // The path is resolved here: a link would lead out of a root that no process has entered
        // yet.
        let real = scratch_root
            .canonicalize()
            .map_err(|error| LaunchError::File(scratch_root.display().to_string(), error))?;
        Ok(Self {
            entries,
            binds,
            scratch: relative(&real)?,
        })
    }

    /// Makes a root with these file systems below the scratch root, each with its name there.
    /// `worker` is the user who may enter `/proc`; none where the worker keeps this process's user.
    ///
    /// # Errors
    /// The kernel can't or won't make it.
    pub fn make<'a>(
        &'a self,
        scratches: impl Iterator<Item = (BorrowedFd<'a>, &'a str)>,
        worker: Option<u32>,
    ) -> Result<Root<'a>, LaunchError> {
        let failed = |errno| LaunchError::System("make a root", errno);
        let attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
        let options = [(c"mode", c"0111"), (c"size", c"1m")];
        let root = mount::new_mount(c"tmpfs", &options, attributes).map_err(failed)?;
        for entry in &self.entries {
            make_entry(&root, entry).map_err(failed)?;
        }
        proc::furnish(&root, worker.map(Uid::from_raw)).map_err(failed)?;
        let scratches = scratches
            .map(|(mount, name)| {
                let place = Path::new(OsStr::from_bytes(self.scratch.as_bytes()));
                let place = relative(&place.join(name))?;
                mkdirat(&root, place.as_c_str(), PASSAGE).map_err(failed)?;
                Ok((mount, place))
            })
            .collect::<Result<_, LaunchError>>()?;
        Ok(Root {
            plan: self,
            root,
            scratches,
            copies: self.binds.iter().map(|_| None).collect(),
        })
    }

    /// The part of the root that an [`EnterFailure`] is about.
    #[must_use]
    pub fn place(&self, bind: Option<usize>) -> String {
        match bind.and_then(|number| self.binds.get(number)) {
            Some(bind) => bind.source.to_string_lossy().into_owned(),
            None => "the root itself, /proc or a scratch file system".to_owned(),
        }
    }
}

fn make_entry(root: &OwnedFd, entry: &Entry) -> Result<(), Errno> {
    match entry {
        Entry::Passage(path) => mkdirat(root, path.as_c_str(), PASSAGE),
        Entry::Forbidden(path) => mkdirat(root, path.as_c_str(), FORBIDDEN),
        Entry::Link(path, target) => symlinkat(target.as_c_str(), root, path.as_c_str()),
        Entry::File(path) => {
            let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
            openat(root.as_fd(), path.as_c_str(), flags, FORBIDDEN).map(drop)
        }
    }
}

/// Why a process could not enter its root.
#[derive(Debug, Clone, Copy)]
pub struct EnterFailure {
    /// The kernel's answer.
    pub errno: Errno,
    /// The number of the bind that failed; none if another part failed.
    pub bind: Option<usize>,
}

impl From<Errno> for EnterFailure {
    fn from(errno: Errno) -> Self {
        Self { errno, bind: None }
    }
}

impl Root<'_> {
    /// Makes this root the calling process's root. For a child of clone in mount and PID namespaces
    /// of its own: system calls only, see `child/mod.rs`. All sources of binds are opened before
    /// the new root can cover them.
    ///
    /// # Errors
    /// A mount call fails for the root, a bind or a scratch file system.
    pub fn enter(&mut self) -> Result<(), EnterFailure> {
        mount::stop_propagation()?;
        let binds = self.plan.binds.iter().enumerate();
        for ((number, bind), place) in binds.clone().zip(&mut self.copies) {
            *place = Some(copy_of(bind).map_err(failed_at(number))?);
        }
        mount::attach(&self.root, c"/")?;
        fchdir(&self.root)?;
        for ((number, bind), copy) in binds.zip(&self.copies) {
            if let Some(copy) = copy {
                mount::attach(copy, &bind.place).map_err(failed_at(number))?;
            }
        }
        for (scratch, place) in &self.scratches {
            mount::attach(scratch, place)?;
        }
        proc::attach()?;
        leave_old_root()?;
        Ok(())
    }
}

fn failed_at(number: usize) -> impl FnOnce(Errno) -> EnterFailure {
    move |errno| EnterFailure {
        errno,
        bind: Some(number),
    }
}

fn copy_of(bind: &Bind) -> Result<OwnedFd, Errno> {
    let copy = mount::copy_of(&bind.source)?;
    mount::add_attributes(copy.as_fd(), bind.attributes)?;
    Ok(copy)
}

/// Makes the current directory, which is a mount, the root, and detaches the old root:
/// `pivot_root(".", ".")`. pivot_root(2) has a section about this.
fn leave_old_root() -> Result<(), Errno> {
    pivot_root(c".", c".")?;
    mount::detach_here()?;
    chdir(c"/")
}
