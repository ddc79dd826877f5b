//! Which names a worker's root holds: the directories and links that lead to everything that may be
//! read, and the other names of the host's usual directories. This file looks at the host and
//! changes nothing.

use crate::error::LaunchError;
use crate::paths::{c_path, relative};
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};
use nix::errno::Errno;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{CString, OsString};
use std::fs::{self, FileType};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};

/// Directories that every program looks into. All their names exist in the root too, but nobody may
/// open those that are not readable. The names tell a program no more than the original's own
/// answers do, `EACCES` or `ENOENT`.
const USUAL: &[&str] = &["/", "/etc", "/usr", "/usr/share", "/usr/local", "/dev"];

/// Most names that are kept of one such directory; a distribution has some 300 in `/etc`.
const NAMES_MAX: usize = 4096;

/// Most links on the way to one path: the kernel's own bound (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// An entry that is made in the root before anything is mounted there. Paths are relative to the
/// root.
#[derive(Debug)]
pub enum Entry {
    /// A directory that leads to something readable, or a place for a mount.
    Passage(CString),
    /// A directory that nobody may enter.
    Forbidden(CString),
    /// The same link as the host's.
    Link(CString, CString),
    /// A file as a place for a mount, or a file that nobody may open.
    File(CString),
}

/// A file or directory of the host that is mounted in the root, read-only.
#[derive(Debug)]
pub struct Bind {
    /// Its path on the host.
    pub source: CString,
    /// Its path in the root, relative to it.
    pub place: CString,
    /// Mount attributes.
    pub attributes: u64,
}

/// What is at a path of the new root.
enum EntryKind {
    Passage,
    Forbidden,
    Link(PathBuf),
    File,
}

#[derive(Default)]
struct Names {
    /// The entries by path; a parent comes before its entries.
    kinds: BTreeMap<PathBuf, EntryKind>,
    /// Real paths to be bound, and whether each is a device.
    bound: BTreeMap<PathBuf, bool>,
}

/// Returns the entries, in an order in which they can be made, and the binds. A path of `readable`
/// that does not exist is skipped.
pub fn find(
    readable: &[PathBuf],
    scratch_root: &Path,
) -> Result<(Vec<Entry>, Vec<Bind>), LaunchError> {
    let mut names = Names::default();
    for path in readable {
        names
            .lead_to(path, true)
            .map_err(|error| LaunchError::File(path.display().to_string(), error))?;
    }
    names
        .lead_to(scratch_root, false)
        .map_err(|error| LaunchError::File(scratch_root.display().to_string(), error))?;
    // `proc.rs` makes the content of `/proc`.
    names
        .kinds
        .insert(PathBuf::from("/proc"), EntryKind::Passage);
    for directory in USUAL {
        names
            .keep_usual(Path::new(directory))
            .map_err(|error| LaunchError::File((*directory).to_owned(), error))?;
    }
    names.finish()
}

impl Names {
    /// Follows `path` from the root on and notes its directories and links. With `bind` it also
    /// notes a bind of the file or directory at the end.
    fn lead_to(&mut self, path: &Path, bind: bool) -> io::Result<()> {
        let mut here = PathBuf::from("/");
        let mut rest: VecDeque<OsString> = names_of(path);
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                here.pop();
                continue;
            }
            let next = here.join(&name);
            let kind = match fs::symlink_metadata(&next) {
                Ok(metadata) => metadata.file_type(),
                Err(error) if error.kind() == io::ErrorKind::NotFound && bind => return Ok(()),
                Err(error) => return Err(error),
            };
            if kind.is_symlink() {
                links += 1;
                if links > LINKS_MAX {
                    return Err(Errno::ELOOP.into());
                }
                let target = fs::read_link(&next)?;
                if target.is_absolute() {
                    here = PathBuf::from("/");
                }
                for name in names_of(&target).into_iter().rev() {
                    rest.push_front(name);
                }
                self.kinds.insert(next, EntryKind::Link(target));
                continue;
            }
            here = next;
            if rest.is_empty() && bind {
                self.bind(&here, kind);
            } else {
                self.kinds.insert(here.clone(), EntryKind::Passage);
            }
        }
        Ok(())
    }

    fn bind(&mut self, path: &Path, kind: FileType) {
        let place = if kind.is_dir() {
            EntryKind::Passage
        } else {
            EntryKind::File
        };
        self.kinds.insert(path.to_owned(), place);
        self.bound.insert(path.to_owned(), kind.is_char_device());
    }

    /// Notes the other names of a usual directory, if any path leads through it.
    fn keep_usual(&mut self, directory: &Path) -> io::Result<()> {
        let on_the_way = directory == Path::new("/") || self.kinds.contains_key(directory);
        if !on_the_way || self.bound.contains_key(directory) {
            return Ok(());
        }
        for entry in fs::read_dir(directory)?.take(NAMES_MAX) {
            let entry = entry?;
            let kind = match entry.file_type()? {
                kind if kind.is_symlink() => EntryKind::Link(fs::read_link(entry.path())?),
                kind if kind.is_dir() => EntryKind::Forbidden,
                _ => EntryKind::File,
            };
            self.kinds.entry(entry.path()).or_insert(kind);
        }
        Ok(())
    }

    /// Turns the names into entries and binds, except names inside of a bound directory.
    fn finish(self) -> Result<(Vec<Entry>, Vec<Bind>), LaunchError> {
        let bound: BTreeSet<&Path> = self.bound.keys().map(PathBuf::as_path).collect();
        let within = |path: &Path| path.ancestors().skip(1).any(|above| bound.contains(above));
        let mut entries = Vec::new();
        for (path, kind) in self.kinds.iter().filter(|(path, _)| !within(path)) {
            let place = relative(path)?;
            entries.push(match kind {
                EntryKind::Passage => Entry::Passage(place),
                EntryKind::Forbidden => Entry::Forbidden(place),
                EntryKind::Link(target) => Entry::Link(place, c_path(target)?),
                EntryKind::File => Entry::File(place),
            });
        }
        let mut binds = Vec::new();
        for (path, device) in self.bound.iter().filter(|(path, _)| !within(path)) {
            let closed = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID;
            binds.push(Bind {
                source: c_path(path)?,
                place: relative(path)?,
                attributes: if *device {
                    closed
                } else {
                    closed | MOUNT_ATTR_NODEV
                },
            });
        }
        Ok((entries, binds))
    }
}

fn names_of(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}
