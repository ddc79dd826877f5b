//! A worker's root: only what Python needs, nothing of it to be changed but scratch file systems.
//!
//! It holds the interpreter's directories, the shared libraries, time zones, four devices and a `/proc`
//! of the worker's own PID namespace. Nothing else of the host can be reached, not even to ask whether
//! it is there. Directories that only lead somewhere can be passed and not listed. In the host's
//! usual directories other names stay, as empty files and directories that nobody may open: so a path
//! that is there and forbidden answers `EACCES` here too, as AppArmor does for the original.

use super::root_paths::{self, Bind, Entry};
use crate::error::{LaunchError, relative};
use crate::mount_api::{self, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::symlinkat;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// May be passed, not listed or added to: `/`, `/usr` and the like. A mode, and no read-only mount, so that
/// an attempt to add is answered `EACCES`, as by the original.
const PASSAGE: Mode = Mode::from_bits_truncate(0o111);
/// Nothing.
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
    scratches: Vec<(RawFd, CString)>,
    /// Copies of what is bound, opened while the old root can still be seen.
    copies: Vec<Option<OwnedFd>>,
}

impl RootPlan {
    /// Looks at the host: what of `readable` there is, and through which links one gets there.
    ///
    /// # Errors
    /// A path has a zero byte, or its links go round in circles.
    pub fn new(readable: &[PathBuf], scratch_root: &Path) -> Result<Self, LaunchError> {
        // Links on the way to it are in the root too.
        let (entries, binds) = root_paths::find(readable, scratch_root)?;
        // But one would lead out of a root that is not entered yet.
        let real = scratch_root
            .canonicalize()
            .map_err(|error| LaunchError::File(scratch_root.display().to_string(), error))?;
        Ok(Self {
            entries,
            binds,
            scratch: relative(&real)?,
        })
    }

    /// Makes a root with these file systems below the scratch root.
    ///
    /// # Errors
    /// The kernel can't or won't make it.
    pub fn make<'a>(
        &'a self,
        scratches: impl Iterator<Item = (RawFd, &'a str)>,
    ) -> Result<Root<'a>, LaunchError> {
        let failed = |errno| LaunchError::System("make a root", errno);
        let attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
        let root = mount_api::new_mount(
            c"tmpfs",
            &[(c"mode", c"0111"), (c"size", c"1m")],
            attributes,
        )
        .map_err(failed)?;
        for entry in &self.entries {
            make_entry(&root, entry).map_err(failed)?;
        }
        let scratches = scratches
            .map(|(mount, name)| {
                let place = Path::new(std::ffi::OsStr::from_bytes(self.scratch.as_bytes()));
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

    /// What a failure of [`Root::enter`] was about.
    #[must_use]
    pub fn place(&self, number: usize) -> String {
        let text = |path: &CStr| path.to_string_lossy().into_owned();
        match self.binds.get(number) {
            Some(bind) => text(&bind.source),
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

/// Where a failure of [`Root::enter`] is told: the number of a bind, or any number over them.
type Failure = (Errno, usize);

impl Root<'_> {
    /// Makes it the calling process's root. For a child of clone in mount and PID namespaces of its own:
    /// system calls only. All that is bound is opened before the new root may cover it.
    pub fn enter(&mut self) -> Result<(), Failure> {
        let other = |errno: Errno| (errno, usize::MAX);
        mount_api::stop_propagation().map_err(other)?;
        for (number, bind) in self.plan.binds.iter().enumerate() {
            let at = |errno| (errno, number);
            let copy = mount_api::copy_of(&bind.source).map_err(at)?;
            mount_api::add_attributes(copy.as_fd(), bind.attributes).map_err(at)?;
            self.copies[number] = Some(copy);
        }
        mount_api::attach(self.root.as_raw_fd(), c"/").map_err(other)?;
        // SAFETY: fchdir(2) takes a number.
        Errno::result(unsafe { libc::fchdir(self.root.as_raw_fd()) }).map_err(other)?;
        for (number, bind) in self.plan.binds.iter().enumerate() {
            if let Some(copy) = &self.copies[number] {
                mount_api::attach(copy.as_raw_fd(), &bind.place)
                    .map_err(|errno| (errno, number))?;
            }
        }
        for (mount, place) in &self.scratches {
            mount_api::attach(*mount, place).map_err(other)?;
        }
        attach_proc().map_err(other)?;
        mount_api::become_root().map_err(other)
    }
}

/// Processes of this PID namespace only, each visible only to those that may trace it, and nothing of
/// the kernel (`subset=pid`, Linux 5.8).
fn attach_proc() -> Result<(), Errno> {
    let options = [(c"subset", c"pid"), (c"hidepid", c"invisible")];
    let attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    let proc = mount_api::new_mount(c"proc", &options, attributes)?;
    mount_api::attach(proc.as_raw_fd(), c"proc")
}
