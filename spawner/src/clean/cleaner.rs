//! Makes seats and scratch directories free again, and removes what is in them when there is time.
//!
//! What hostile code left may take long to remove, so a thread does it. The spawner first moves a
//! directory on the host's own file system into one that nobody else can enter. That takes one
//! system call, and then the directory's name and its owner's uid are free. A seat is free when it
//! is empty.

use super::removal;
use codejail_protocol::ScratchName;
use codejail_protocol::spawn::SpawnerReport;
use codejail_transport::PacketSocket;
use crossbeam_channel::{Receiver, Sender, bounded};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, renameat};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Most tasks that may wait for the thread. Beyond that the spawner itself waits, and with it every
/// request, until the thread has caught up: else what is to be removed could fill the disk.
const QUEUE_LENGTH_MAX: usize = 4096;

/// What the thread does.
enum Task {
    /// Remove a directory that was moved out of the way.
    Remove(ScratchName),
    /// Empty a seat and report it.
    Empty(ScratchName, Arc<OwnedFd>),
}

/// The thread, and the queue of its tasks.
pub struct Cleaner {
    root: PathBuf,
    trash: PathBuf,
    tasks: Sender<Task>,
    thread: JoinHandle<()>,
}

impl Cleaner {
    /// Makes the directory for what waits to be removed, named by the service's tag, and starts the
    /// thread, which reports on seats over `socket`.
    ///
    /// # Errors
    /// The directory can't be made below `root`, or the system has no thread left.
    pub fn start(root: PathBuf, tag: &ScratchName, socket: Arc<PacketSocket>) -> io::Result<Self> {
        // The scratch root may be a link, and removals follow none.
        let root = root.canonicalize()?;
        let trash = root.join(tag.as_str());
        DirBuilder::new().mode(0o700).create(&trash)?;
        let (tasks, queue) = bounded(QUEUE_LENGTH_MAX);
        let thread_trash = trash.clone();
        let thread = std::thread::Builder::new()
            .name("cleaner".to_owned())
            .spawn(move || work(&thread_trash, &queue, &socket))?;
        Ok(Self {
            root,
            trash,
            tasks,
            thread,
        })
    }

    /// Has the thread empty a seat, and report that to the supervisor.
    pub fn empty(&self, name: ScratchName, seat: Arc<OwnedFd>) {
        self.give(Task::Empty(name, seat));
    }

    /// Takes a directory out of the way and has the thread remove it. A directory that is not there
    /// is fine.
    ///
    /// # Errors
    /// The directory can't be moved, and stays where it is.
    pub fn clean(&self, dir: ScratchName) -> Result<(), Errno> {
        let root = removal::open(AT_FDCWD, &self.root)?;
        let trash = removal::open(AT_FDCWD, &self.trash)?;
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
                self.give(Task::Remove(dir));
                Ok(())
            }
            Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    fn give(&self, task: Task) {
        // The thread takes tasks until this end is dropped, so it is there unless it panicked.
        if self.tasks.send(task).is_err() {
            eprintln!("spawner: the cleaner thread is gone");
        }
    }

    /// Waits until the thread has done all tasks, then removes every directory with this service's
    /// tag.
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

fn work(trash: &Path, queue: &Receiver<Task>, socket: &PacketSocket) {
    for task in queue {
        match task {
            Task::Remove(dir) => {
                let errno = removal::remove(trash, &dir).err();
                let error = errno.map(|errno| errno.to_string());
                let name = dir.clone();
                let told = socket.send(&SpawnerReport::Removed { dir, error }, &[]);
                // A supervisor that is gone tells nobody.
                if let (Some(errno), Err(_)) = (errno, told) {
                    say_stays(trash, &name, errno);
                }
            }
            Task::Empty(dir, seat) => {
                let error = removal::empty(&*seat).err().map(|errno| errno.to_string());
                // A supervisor that is gone needs no report, and the loop that serves it sees that
                // too.
                let _ = socket.send(&SpawnerReport::Cleaned { dir, error }, &[]);
            }
        }
    }
}

fn remove_or_say(root: &Path, name: &ScratchName) {
    if let Err(errno) = removal::remove(root, name) {
        say_stays(root, name, errno);
    }
}

fn say_stays(root: &Path, name: &ScratchName, errno: Errno) {
    eprintln!("spawner: {}/{name} stays: {errno}", root.display());
}
