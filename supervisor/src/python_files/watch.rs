//! The kernel's reports of changes, inotify(7). A report is there as soon as the change is visible.

use super::fingerprint::{DIRS_MAX, Places, directories};
use codejail_transport_asynchronous::AsyncReadable;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::{fs, io, iter};

/// The events that change a name, or the file of a name.
const CHANGES: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_MODIFY)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_MOVED_TO);

/// Endings of files that change what Python imports. Other files (data, font caches) may be written
/// while the service runs and do not matter.
const CODE: [&str; 5] = ["py", "pyc", "pth", "so", "zip"];

/// Directories that are watched.
#[derive(Debug)]
pub struct Watched {
    inotify: Inotify,
    readable: AsyncReadable,
    /// For each watch, whether modules are imported from the directory. In the other directories
    /// only some names count.
    libraries: HashMap<WatchDescriptor, bool>,
    programs: HashSet<OsString>,
}

impl Watched {
    /// Watches all directories of `places`. Every change from then on is noticed. This may take
    /// long, since it reads directories.
    ///
    /// # Errors
    /// `ENOSPC` and `EMFILE` are the bounds of `/proc/sys/fs/inotify`.
    pub fn begin(places: &Places) -> io::Result<Self> {
        let flags = InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC;
        let inotify = Inotify::init(flags)?;
        let mut watched = Self {
            readable: AsyncReadable::new(&inotify)?,
            inotify,
            libraries: HashMap::new(),
            programs: HashSet::new(),
        };
        let real = fs::canonicalize(&places.program);
        for program in iter::once(&places.program).chain(&real) {
            if let (Some(dir), Some(name)) = (program.parent(), program.file_name()) {
                watched.programs.insert(name.to_owned());
                watched.add(dir, false)?;
            }
        }
        for library in &places.libraries {
            let dirs = directories(library);
            if watched.libraries.len() + dirs.len() > DIRS_MAX {
                return Err(Errno::ENOSPC.into());
            }
            for dir in dirs {
                watched.add(&dir, true)?;
            }
        }
        Ok(watched)
    }

    /// Watches a directory. If it does not exist or may not be read, a worker can't import from it
    /// either.
    fn add(&mut self, dir: &Path, library: bool) -> Result<(), Errno> {
        match self.inotify.add_watch(dir, CHANGES) {
            Ok(watch) => {
                let known = self.libraries.entry(watch).or_default();
                *known |= library;
                Ok(())
            }
            Err(Errno::ENOENT | Errno::EACCES | Errno::ENOTDIR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Waits until the kernel has reported something, then calls `look`, which asks whether it
    /// counts.
    ///
    /// # Errors
    /// The runtime shuts down.
    pub async fn word(&self, look: impl FnOnce()) -> io::Result<()> {
        self.readable.readable(look).await
    }

    /// Whether something has changed since the last call. It does not wait.
    pub fn has_changed(&self) -> bool {
        let mut changed = false;
        loop {
            match self.inotify.read_events() {
                Ok(events) => changed |= events.iter().any(|event| self.counts(event)),
                Err(Errno::EINTR) => {}
                // No more reports wait. No other error is possible.
                Err(_) => return changed,
            }
        }
    }

    fn counts(&self, event: &InotifyEvent) -> bool {
        let own = AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF;
        // The kernel has lost events, since there were too many.
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            return true;
        }
        let library = self.libraries.get(&event.wd).copied().unwrap_or_default();
        let Some(name) = &event.name else {
            return library && event.mask.intersects(own);
        };
        let is_dir = event.mask.contains(AddWatchFlags::IN_ISDIR);
        self.programs.contains(name) || (library && is_code(name, is_dir))
    }
}

/// Whether a file of this name, if it is new, changed or removed, can change what is imported.
fn is_code(name: &OsStr, is_dir: bool) -> bool {
    if is_dir {
        return name != "__pycache__";
    }
    let extension = Path::new(name).extension().and_then(OsStr::to_str);
    name == "RECORD" || extension.is_some_and(|extension| CODE.contains(&extension))
}
