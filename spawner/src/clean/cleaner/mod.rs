//! Frees seats and scratch directories at once, and removes their contents in threads.
//!
//! To remove what hostile code left may take long, so threads do it. The spawner first moves a
//! directory on the host's own file system into one that nobody else can enter. That takes one
//! system call, and then the directory's name and its owner's uid are free. A seat is free when it
//! is empty. The spawner waits for the threads only at its end.

use super::removal::{self, Found, Owners, RemovalError};
use super::trash::Trash;
use crate::say;
use codejail_protocol::ScratchName;
use codejail_protocol::spawn::SpawnerReport;
use codejail_transport::{PacketError, PacketSocket};
use crossbeam_channel::{Receiver, Sender, bounded};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, renameat};
use nix::sys::statfs::fstatfs;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

/// How many removals run at a time. A run may leave as many files in its seat as it may have
/// (16,384 by default). Their removal takes 0.3 s; with one thread all other seats would wait that
/// long.
const THREADS: usize = 4;

/// If more tasks than this wait, a directory is reported only once its removal begins. Until then
/// the supervisor makes no other directory in its place, so waiting directories can't fill the
/// disk.
const QUEUE_LENGTH_EASY: usize = if cfg!(test) { 32 } else { 4096 };

/// Most tasks that may wait. Beyond [`QUEUE_LENGTH_EASY`] there is room for as many again: for the
/// seats of 256 workers with 16 seats each. A directory for which there is no room stays until the
/// service ends, and the supervisor is told so.
const QUEUE_LENGTH_MAX: usize = 2 * QUEUE_LENGTH_EASY;

/// A task of a thread.
enum Task {
    /// Remove a directory that was moved out of the way, and report the removal. If the move was
    /// not reported yet, report the move first.
    Remove {
        dir: ScratchName,
        report_first: bool,
    },
    /// Empty a seat and report it.
    Empty(ScratchName, Arc<OwnedFd>),
}

/// The threads, and the queue of their tasks.
pub struct Cleaner {
    root: Arc<(PathBuf, OwnedFd)>,
    trash: Arc<Trash>,
    socket: Arc<PacketSocket>,
    tasks: Sender<Task>,
    threads: Vec<JoinHandle<()>>,
}

impl Cleaner {
    /// Makes the directory for what waits to be removed, named by the service's tag, and starts the
    /// threads, which report over `socket`.
    ///
    /// # Errors
    /// The directory can't be made below `root`, or the system has no thread left.
    pub fn start(
        root: PathBuf,
        tag: &ScratchName,
        owners: Owners,
        socket: Arc<PacketSocket>,
    ) -> io::Result<Self> {
        let (tasks, queue) = bounded(QUEUE_LENGTH_MAX);
        let mut cleaner = Self::new(root, tag, owners, socket, tasks)?;
        for _ in 0..THREADS {
            cleaner.start_thread(queue.clone())?;
        }
        Ok(cleaner)
    }

    /// A cleaner without a thread.
    fn new(
        root: PathBuf,
        tag: &ScratchName,
        owners: Owners,
        socket: Arc<PacketSocket>,
        tasks: Sender<Task>,
    ) -> io::Result<Self> {
        // The scratch root may be a link, and removals follow none.
        let root = root.canonicalize()?;
        let root_dir = removal::open(AT_FDCWD, &root)?;
        Ok(Self {
            trash: Arc::new(Trash::make(&root_dir, tag, owners)?),
            root: Arc::new((root, root_dir)),
            socket,
            tasks,
            threads: Vec::new(),
        })
    }

    fn start_thread(&mut self, queue: Receiver<Task>) -> io::Result<()> {
        let (root, trash) = (Arc::clone(&self.root), Arc::clone(&self.trash));
        let socket = Arc::clone(&self.socket);
        let thread = std::thread::Builder::new()
            .name("cleaner".to_owned())
            .spawn(move || work(&root.1, &trash, &queue, &socket))?;
        self.threads.push(thread);
        Ok(())
    }

    /// The path of the scratch root, with all links resolved.
    pub fn root(&self) -> PathBuf {
        self.root.0.clone()
    }

    /// Has a thread empty a seat, and report that to the supervisor.
    ///
    /// # Errors
    /// The report that too much waits can't be sent to the supervisor.
    pub fn empty(&self, name: ScratchName, seat: Arc<OwnedFd>) -> Result<(), PacketError> {
        if self.give(Task::Empty(name.clone(), seat)) {
            return Ok(());
        }
        self.report(name, Some(TOO_MUCH.to_owned()))
    }

    /// Moves a directory out of the way, has a thread remove it, and reports to the supervisor. A
    /// directory that does not exist is no error.
    ///
    /// # Errors
    /// The report can't be sent to the supervisor.
    pub fn clean(&self, dir: ScratchName) -> Result<(), PacketError> {
        match self.take_away(&dir) {
            Ok(false) => return self.report(dir, None),
            Ok(true) => {}
            Err(error) => return self.report(dir, Some(error.told())),
        }
        let report_first = self.tasks.len() >= QUEUE_LENGTH_EASY;
        let task = Task::Remove {
            dir: dir.clone(),
            report_first,
        };
        match (self.give(task), report_first) {
            (true, true) => Ok(()),
            (true, false) => self.report(dir, None),
            (false, _) => self.report(dir, Some(TOO_MUCH.to_owned())),
        }
    }

    /// The same for a worker's own directory, without a report.
    pub fn clean_unasked(&self, dir: ScratchName) {
        let told = match self.take_away(&dir) {
            Ok(false) => return,
            Ok(true) if self.give_removal(dir.clone()) => return,
            Ok(true) => TOO_MUCH.to_owned(),
            Err(error) => error.told(),
        };
        say::warn("scratch_stays", format!("{dir} stays: {told}"));
    }

    fn give_removal(&self, dir: ScratchName) -> bool {
        self.give(Task::Remove {
            dir,
            report_first: false,
        })
    }

    /// Moves a directory of this service out of the way; false if there is none of that name.
    fn take_away(&self, dir: &ScratchName) -> Result<bool, RemovalError> {
        let root = &self.root.1;
        let name = CString::new(dir.as_str()).map_err(|_| Errno::EINVAL)?;
        let found = match Found::of_owners(root, &name, &self.trash.owners) {
            Err(RemovalError::System(Errno::ENOENT)) => return Ok(false),
            found => found?,
        };
        let trash = self.trash.open(root)?;
        let rename = || renameat(root, dir.as_str(), &trash, dir.as_str());
        match rename() {
            // The directory's owner may have taken all rights from it, and this process is not
            // root.
            Err(Errno::EACCES) => {
                found.unlock()?;
                rename()?;
            }
            moved => moved?,
        }
        Ok(true)
    }

    /// Gives the threads a task; false if the queue is full.
    fn give(&self, task: Task) -> bool {
        self.tasks.try_send(task).is_ok()
    }

    fn report(&self, dir: ScratchName, error: Option<String>) -> Result<(), PacketError> {
        let bytes = None;
        self.socket
            .send(&SpawnerReport::Cleaned { dir, error, bytes }, &[])
    }

    /// Waits until the threads have done all tasks, then removes every directory of this service,
    /// the cleaner's own directory last.
    pub fn finish(self, tag: &ScratchName) {
        drop(self.tasks);
        for thread in self.threads {
            if thread.join().is_err() {
                say::error("cleaner_panicked", "a cleaner thread panicked");
            }
        }
        let (path, root) = &*self.root;
        let stays = |name: &str, error: &dyn std::fmt::Display| {
            say::warn(
                "scratch_stays",
                format!("{}/{name} stays: {error}", path.display()),
            );
        };
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return stays("", &error),
        };
        for entry in entries.flatten() {
            let name = entry.file_name().into_string().ok();
            let name = name.and_then(|name| ScratchName::try_from(name).ok());
            let Some(name) = name.filter(|name| name.same_tag(tag) && name != tag) else {
                continue;
            };
            if let Err(error) = remove_named(root, &name, &self.trash) {
                stays(name.as_str(), &error);
            }
        }
        // The threads had the only other handles.
        if let Some(Err(error)) = Arc::into_inner(self.trash).map(|trash| trash.remove(root)) {
            stays(tag.as_str(), &error);
        }
    }
}

/// The supervisor gets this text when the queue is full.
const TOO_MUCH: &str = "too much waits to be removed";

fn work(root: &OwnedFd, trash: &Trash, queue: &Receiver<Task>, socket: &PacketSocket) {
    for task in queue {
        // An error means that the supervisor is gone. The loop that serves the supervisor sees that
        // too.
        match task {
            Task::Remove { dir, report_first } => {
                if report_first {
                    let (dir, error, bytes) = (dir.clone(), None, None);
                    let _ = socket.send(&SpawnerReport::Cleaned { dir, error, bytes }, &[]);
                }
                let removed = trash.open(root);
                let removed = removed.and_then(|trash_dir| remove_named(&trash_dir, &dir, trash));
                let error = removed.err().map(|error| error.told());
                let _ = socket.send(&SpawnerReport::Removed { dir, error }, &[]);
            }
            Task::Empty(dir, seat) => {
                let bytes = used_bytes(&seat);
                let emptied = removal::empty(&*seat).map_err(RemovalError::from);
                let error = emptied.err().map(|error| error.told());
                let _ = socket.send(&SpawnerReport::Cleaned { dir, error, bytes }, &[]);
            }
        }
    }
}

/// Bytes that the files on a seat take, by fstatfs(2): one call for any number of files.
fn used_bytes(seat: &OwnedFd) -> Option<u64> {
    let found = fstatfs(seat).ok()?;
    let blocks = found.blocks().saturating_sub(found.blocks_free());
    Some(blocks.saturating_mul(u64::try_from(found.block_size()).ok()?))
}

fn remove_named(root: impl AsFd, name: &ScratchName, trash: &Trash) -> Result<(), RemovalError> {
    let name = CString::new(name.as_str()).map_err(|_| Errno::EINVAL)?;
    removal::remove(root, &name, &trash.owners)
}

#[cfg(test)]
mod tests;
