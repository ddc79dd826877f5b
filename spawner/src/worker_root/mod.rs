//! A worker's root: what Python needs and nothing else of the host. Only scratch file systems in it
//! can be changed.
//!
//! The root holds the interpreter's directories, the shared libraries, time zones, four devices and
//! a `/proc` of the worker's own PID namespace, which the worker alone may enter. A worker can't
//! reach anything else of the host, nor ask whether it is there. Directories that only lead
//! somewhere can be passed and not listed. In the host's usual directories the other names stay, as
//! empty files and directories that nobody may open: so a path that is there and forbidden answers
//! `EACCES` here too, as AppArmor does for the original.

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

/// May be passed, not listed or added to: `/`, `/usr` and the like. It is a mode and no read-only
/// mount, so that an attempt to add is answered `EACCES`, as by the original.
const PASSAGE: Mode = Mode::from_bits_truncate(0o111);
/// May not even be passed.
const FORBIDDEN: Mode = Mode::empty();

/// What every worker's root is made of.
#[derive(Debug)]
pub struct RootPlan {
    entries: Vec<Entry>,
    binds: Vec<Bind>,
    /// Where scratch directories are, from the root on.
    scratch: CString,
}

/// One worker's root, made and mounted nowhere yet, for its process to enter.
#[derive(Debug)]
pub struct Root<'a> {
    plan: &'a RootPlan,
    root: OwnedFd,
    /// File systems below the scratch root, with their places.
    scratches: Vec<(BorrowedFd<'a>, CString)>,
    /// Copies of what is bound, opened while the old root can still be seen; as many as there are
    /// binds.
    copies: Vec<Option<OwnedFd>>,
}

impl RootPlan {
    /// Looks at the host: what of `readable` there is, and through which links one gets there.
    ///
    /// # Errors
    /// A path has a zero byte, or its links go round in circles.
    pub fn new(readable: &[PathBuf], scratch_root: &Path) -> Result<Self, LaunchError> {
        // The links on the way to the scratch root are made in the root too.
        let (entries, binds) = entries::find(readable, scratch_root)?;
        // But a link would lead out of a root that no process has entered yet.
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
    /// `worker` is whom `/proc` is for; none where the worker stays this process's user.
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

    /// What an [`EnterFailure`] was about.
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
    /// The number of the bind that failed; none for any other part.
    pub bind: Option<usize>,
}

impl From<Errno> for EnterFailure {
    fn from(errno: Errno) -> Self {
        Self { errno, bind: None }
    }
}

impl Root<'_> {
    /// Makes it the calling process's root. For a child of clone in mount and PID namespaces of its
    /// own: system calls only, see `child/mod.rs`. It opens all that is bound before the new root
    /// may cover it.
    ///
    /// # Errors
    /// A mount call fails: of the root, of a bind or of a scratch file system.
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

/// Makes the current directory, a mount, the root and lets the old root go: `pivot_root(".", ".")`,
/// of which pivot_root(2) has a section.
fn leave_old_root() -> Result<(), Errno> {
    pivot_root(c".", c".")?;
    mount::detach_here()?;
    chdir(c"/")
}
