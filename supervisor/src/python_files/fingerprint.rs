//! Which files Python has, and when they changed. A change of any of them changes the fingerprint.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, DirEntry, Metadata};
use std::hash::{Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Most files that are looked at, each only by its metadata. The venv with all of Open edX's
/// libraries and the standard library together have 8,400.
const FILES_MAX: usize = 100_000;
/// Most directories of one tree, and so most watches. The same libraries have 1,000.
pub const DIRS_MAX: usize = 20_000;

/// Where Python has its files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// The interpreter, as configured.
    pub program: PathBuf,
    /// The directories that it imports from.
    pub libraries: Vec<PathBuf>,
}

/// A summary of all files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// A sum over all files, in any order.
    sum: u64,
    /// The time of the last change, in seconds since 1970, and nanoseconds.
    changed: (i64, i64),
    /// Files that were looked at.
    files: usize,
}

impl Fingerprint {
    /// Looks at the interpreter, at every file of the standard library, and at the files that list
    /// the installed distributions. Files that can't be read are left out. This may take long,
    /// since it reads directories.
    pub fn take(places: &Places) -> Self {
        let mut fingerprint = Self::default();
        if let Ok(metadata) = fs::metadata(&places.program) {
            fingerprint.add(&places.program, &metadata);
        }
        for library in &places.libraries {
            let installed = is_installed(library);
            for dir in directories(library) {
                for entry in entries(&dir) {
                    let path = entry.path();
                    let counts = !installed || dir == *library || is_record(&path);
                    if counts && let Ok(metadata) = entry.metadata() {
                        fingerprint.add(&path, &metadata);
                    }
                }
            }
        }
        fingerprint
    }

    /// Whether a file was changed after `time`.
    pub fn is_newer_than(&self, time: SystemTime) -> bool {
        let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX);
        self.changed > (seconds, since_1970.subsec_nanos().into())
    }

    /// The times of a directory are not used, since they also change with `__pycache__`.
    fn add(&mut self, path: &Path, metadata: &Metadata) {
        if self.files >= FILES_MAX {
            return;
        }
        self.files += 1;
        let mut hasher = DefaultHasher::new();
        (path, metadata.ino(), metadata.mode()).hash(&mut hasher);
        if !metadata.is_dir() {
            (metadata.size(), metadata.mtime(), metadata.mtime_nsec()).hash(&mut hasher);
            let changed = (metadata.ctime(), metadata.ctime_nsec());
            self.changed = self.changed.max(changed);
        }
        self.sum = self.sum.wrapping_add(hasher.finish());
    }
}

/// Whether distributions are installed there, each with a list of its files.
fn is_installed(library: &Path) -> bool {
    let name = library.file_name().and_then(|name| name.to_str());
    matches!(name, Some("site-packages" | "dist-packages"))
}

/// Whether the file says which distribution it belongs to, or which files the distribution has.
fn is_record(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    matches!(name, Some("RECORD" | "METADATA" | "PKG-INFO"))
}

/// `root` and all directories below it that Python imports from, at most [`DIRS_MAX`]. If
/// distributions are installed in the standard library's own directory, their directory is left
/// out: it is a library of its own.
pub fn directories(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    let mut next = 0;
    while next < found.len() {
        for entry in entries(&found[next]) {
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let path = entry.path();
            if is_dir && !is_installed(&path) && found.len() < DIRS_MAX {
                found.push(path);
            }
        }
        next += 1;
    }
    found
}

/// The entries of a directory, without bytecode: Python makes bytecode again from the sources.
fn entries(dir: &Path) -> impl Iterator<Item = DirEntry> + use<> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name() != "__pycache__")
}
