//! Removes scratch directories: out of everybody's way at once, from the disk when there is time.
//!
//! What hostile code left may take long to remove. So a directory is first moved into one that only
//! the spawner can enter, which takes one system call and makes its name and its owner's uid free; a
//! thread removes it there. It never follows a link, never goes deeper than one level (deeper
//! directories are first moved up, so depth costs neither stack nor descriptors), and gives up after a
//! bounded number of entries.

use codejail_protocol::ScratchName;
use crossbeam_channel::{Receiver, Sender, bounded};
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, renameat};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::{CStr, CString, OsStr};
use std::fs::DirBuilder;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// Directories that may wait to be removed. Orders beyond it wait, and so do launches, until the thread
/// has caught up: disk space must not run away from it.
const QUEUE_LENGTH_MAX: usize = 4096;

/// Entries that one directory may hold before it is left where it is and reported: what a minute of
/// creating files can make.
const ENTRIES_MAX: u64 = 10_000_000;

/// Names held in memory at once, some 5 MB.
const LISTING_MAX: usize = 65_536;

/// The thread and the way to it.
pub struct Cleaner {
    root: PathBuf,
    trash: PathBuf,
    tasks: Sender<ScratchName>,
    thread: JoinHandle<()>,
}

impl Cleaner {
    /// Makes the directory for what waits to be removed, named by the service's tag, and starts the
    /// thread.
    ///
    /// # Errors
    /// The directory can't be made below `root`, or the system has no thread left.
    pub fn start(root: PathBuf, tag: &ScratchName) -> io::Result<Self> {
        let trash = root.join(tag.as_str());
        DirBuilder::new().mode(0o700).create(&trash)?;
        let (tasks, queue) = bounded(QUEUE_LENGTH_MAX);
        let thread_trash = trash.clone();
        let thread = std::thread::Builder::new()
            .name("cleaner".to_owned())
            .spawn(move || work(&thread_trash, &queue))?;
        Ok(Self {
            root,
            trash,
            tasks,
            thread,
        })
    }

    /// Takes a directory out of the way; its removal follows. One that is not there is fine.
    ///
    /// # Errors
    /// It can't be moved, and stays where it is.
    pub fn clean(&self, dir: ScratchName) -> Result<(), Errno> {
        let (root, trash) = (open(AT_FDCWD, &self.root)?, open(AT_FDCWD, &self.trash)?);
        let rename = || renameat(&root, dir.as_str(), &trash, dir.as_str());
        let moved = match rename() {
            // Where this process is not root, the owner may have locked itself out.
            Err(Errno::EACCES) => {
                let mode = Mode::S_IRWXU;
                fchmodat(&root, dir.as_str(), mode, FchmodatFlags::NoFollowSymlink)?;
                rename()
            }
            moved => moved,
        };
        match moved {
            Ok(()) => {
                // The thread takes until this end is dropped, so there is always somebody to send to.
                if self.tasks.send(dir).is_err() {
                    eprintln!("spawner: the cleaner thread is gone");
                }
                Ok(())
            }
            Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Does all that waits, then removes every directory with the tag of this service.
    pub fn finish(self, tag: &ScratchName) {
        drop(self.tasks);
        if self.thread.join().is_err() {
            eprintln!("spawner: the cleaner thread panicked");
        }
        let entries = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) => return eprintln!("spawner: {}: {error}", self.root.display()),
        };
        for entry in entries.flatten() {
            let name = entry.file_name().into_string().ok();
            let name = name.and_then(|name| ScratchName::try_from(name).ok());
            if let Some(name) = name.filter(|name| name.same_tag(tag)) {
                remove_or_say(&self.root, &name);
            }
        }
    }
}

fn work(trash: &Path, queue: &Receiver<ScratchName>) {
    for dir in queue {
        remove_or_say(trash, &dir);
    }
}

fn remove_or_say(root: &Path, name: &ScratchName) {
    if let Err(errno) = remove(root, name) {
        eprintln!("spawner: {}/{name} stays: {errno}", root.display());
    }
}

/// Removes the directory `name` below `root` with all it holds; one that is not there is fine.
fn remove(root: &Path, name: &ScratchName) -> Result<(), Errno> {
    let root = open(AT_FDCWD, root)?;
    let mut removal = Removal {
        moved: 0,
        entries: 0,
    };
    let top = match open(&root, Path::new(name.as_str())) {
        Ok(top) => top,
        Err(Errno::ENOENT) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    // What is moved up while one listing is read may be missed by it; the next one finds it.
    loop {
        let mut listing = open(&top, Path::new("."))?;
        let mut found = false;
        for (entry, kind) in names(&mut listing)? {
            found = true;
            removal.remove_entry(&top, &entry, kind)?;
        }
        if !found {
            break;
        }
    }
    unlinkat(&root, name.as_str(), UnlinkatFlags::RemoveDir)
}

/// The bounds of one removal.
struct Removal {
    moved: u64,
    entries: u64,
}

impl Removal {
    /// Removes one entry of the top directory; a directory is emptied first, its own directories
    /// that are not empty move up beside it.
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

fn open<Fd: AsFd>(at: Fd, path: &Path) -> Result<Dir, Errno> {
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
