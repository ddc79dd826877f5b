//! Removes what dead services of this host have left. A service is dead if its spawner was killed.
//!
//! A lock tells dead services from living ones (`trash.rs`, and `host/cgroup.rs` for cgroups).
//! Directories that have no lock or a foreign owner are not codejail's, and stay.

use super::removal::{self, RemovalError};
use super::trash::Trash;
use crate::host::cgroup;
use crate::say;
use codejail_protocol::ScratchName;
use nix::fcntl::AT_FDCWD;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Most entries of the scratch root that are looked at, since `/tmp` may hold anything.
const ENTRIES_MAX: usize = 100_000;
/// Most names of scratch directories in memory at once: some 3 MB. The next start finds the rest.
const NAMES_MAX: usize = 50_000;

/// Removes what dead services have left, in a thread of its own. The thread ends with the process;
/// the next start removes the rest.
pub fn remove_in_background(root: PathBuf, cgroups: Option<PathBuf>, own: ScratchName) {
    let started = std::thread::Builder::new()
        .name("leftovers".to_owned())
        .spawn(move || {
            if let Some(base) = cgroups {
                cgroup::remove_leftovers(&base, &own);
            }
            remove(&root, &own);
        });
    if let Err(error) = started {
        say::warn("leftovers_not_removed", format!("no thread: {error}"));
    }
}

/// Removes what dead services have left below `root`; `own` is the tag of this service.
pub fn remove(root: &Path, own: &ScratchName) {
    let opened = removal::open(AT_FDCWD, root);
    let Ok(root_dir) = opened else {
        return;
    };
    let names = names(root, own);
    for tag in names.iter().filter(|name| name.is_tag()) {
        let Some(trash) = Trash::of_dead(&root_dir, tag) else {
            continue;
        };
        let dirs = names.iter().filter(|name| name.same_tag(tag));
        let dirs: Vec<_> = dirs.filter(|name| *name != tag).collect();
        let root_shown = root.display();
        match remove_one(&root_dir, trash, tag, &dirs) {
            Ok(count) => say::info(
                "leftovers_removed",
                format!(
                    "{root_shown}/{tag} and {count} directories of a service that is dead are removed"
                ),
            ),
            Err((dir, error)) => say::warn(
                "leftovers_stay",
                format!(
                    "{root_shown}/{dir} of a service that is dead stays: {}",
                    error.told()
                ),
            ),
        }
    }
}

/// Returns how many directories it removed, or the first one that stays with the reason. In that
/// case the lock stays too, and the next start tries again.
fn remove_one<'a>(
    root: &OwnedFd,
    trash: Trash,
    tag: &'a ScratchName,
    dirs: &[&'a ScratchName],
) -> Result<usize, (&'a ScratchName, RemovalError)> {
    let mut count = 0;
    let mut failed = Ok(());
    for dir in dirs {
        match remove_named(root, dir, &trash) {
            Ok(()) => count += 1,
            // Somebody else made a directory of that name.
            Err(RemovalError::Foreign(_)) => {}
            Err(error) => failed = failed.and(Err((*dir, error))),
        }
    }
    failed?;
    trash.remove(root).map_err(|error| (tag, error))?;
    Ok(count)
}

fn remove_named(root: &OwnedFd, dir: &ScratchName, trash: &Trash) -> Result<(), RemovalError> {
    let name = CString::new(dir.as_str()).map_err(|_| nix::errno::Errno::EINVAL)?;
    removal::remove(root, &name, &trash.owners)
}

/// Names in the scratch root that belong to other services.
fn names(root: &Path, own: &ScratchName) -> Vec<ScratchName> {
    let entries = std::fs::read_dir(root).into_iter().flatten();
    let names = entries.take(ENTRIES_MAX).flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let names = names.filter_map(|name| ScratchName::try_from(name).ok());
    let names = names.filter(|name| !name.same_tag(own));
    names.take(NAMES_MAX).collect()
}
