//! Claims: which services of this host are alive, and which uids and directories are theirs.
//!
//! A spawner that is root writes into a file what it takes, and holds the file's lock (flock(2))
//! until it ends, however it ends: no other process has the descriptor, which is closed at exec. So
//! a claim that is locked belongs to a live service, and any other claim to a dead service. Two
//! live services may have a uid in common only if both share their uids.

use crate::error::LaunchError;
use crate::say;
use codejail_protocol::spawn::SpawnerConfig;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where claims are. The directory ends with a container or at a restart of the host, as the
/// processes do.
const DIRECTORY: &str = "/run/codejail";
/// The end of a claim's name.
const SUFFIX: &str = ".claim";
/// Longest claim that is read: two numbers, a word and a path of PATH_MAX bytes.
const CLAIM_BYTES_MAX: u64 = 8192;
/// The distance between two values of `sandbox.uid_base` that are suggested. The supervisor's
/// `boot/accounts.rs` has the same.
const STEP: u32 = 10_000;

/// What this service claims; removed with it.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    _locked: Flock<File>,
}

/// What a claim says: `349590000 349590108 alone /tmp`.
#[derive(Debug, PartialEq, Eq)]
struct Claimed {
    uids: Range<u32>,
    /// Whether another claim that shares too may have the same uids.
    shares: bool,
    scratch_root: PathBuf,
}

/// A claim, or why there is none. A service without a claim runs all the same, and nothing keeps
/// its uids apart from another service's.
#[derive(Debug)]
pub enum Claims {
    /// Held until this value is dropped.
    Held(#[allow(dead_code, reason = "it is there to be dropped")] Claim),
    /// Not root: the service can't choose uids, so it claims none.
    NotRoot,
    /// What the operator should know.
    Impossible(String),
}

impl Claims {
    /// Claims the uids of a configuration.
    ///
    /// # Errors
    /// A live service has some of them.
    pub fn make(config: &SpawnerConfig) -> Result<Self, LaunchError> {
        if !geteuid().is_root() {
            return Ok(Self::NotRoot);
        }
        let wanted = Claimed {
            uids: config.uid_base..config.uid_base.saturating_add(config.uid_count),
            shares: config.shares_uids,
            scratch_root: config.scratch_root.clone(),
        };
        let name = format!("{}{SUFFIX}", config.scratch_tag);
        match Claim::make(Path::new(DIRECTORY), &name, &wanted) {
            Ok(Ok(claim)) => Ok(Self::Held(claim)),
            Ok(Err(taken)) => {
                let key = format!("sandbox.uid_base = {}", config.uid_base);
                Err(LaunchError::File(key, io::Error::other(taken)))
            }
            Err(error) => Ok(Self::Impossible(format!(
                "{DIRECTORY}: {error}, so it is not known whether another service of this \
                 host has the same uids"
            ))),
        }
    }

    /// What the operator should know.
    pub fn warning(&self) -> Option<String> {
        match self {
            Self::Impossible(why) => Some(why.clone()),
            Self::Held(_) | Self::NotRoot => None,
        }
    }
}

impl Claim {
    /// Writes the claim into `directory`, or says who has its uids.
    fn make(directory: &Path, name: &str, wanted: &Claimed) -> io::Result<Result<Self, String>> {
        // One service at a time reads and writes claims; each takes milliseconds.
        let _turn = lock(open_directory(directory)?, FlockArg::LockExclusive)?;
        let live = live(directory)?;
        if let Some(other) = live.iter().find(|other| other.excludes(wanted)) {
            return Ok(Err(wanted.why_not(other, &live)));
        }
        let path = directory.join(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let mut locked = lock(file, FlockArg::LockExclusiveNonblock)?;
        locked.write_all(wanted.to_text().as_bytes())?;
        Ok(Ok(Self {
            path,
            _locked: locked,
        }))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            say::warn("claim_stays", format!("{}: {error}", self.path.display()));
        }
    }
}

/// The directory of claims, which is root's alone.
fn open_directory(directory: &Path) -> io::Result<File> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(directory)?;
    if !found.is_dir() || found.uid() != geteuid().as_raw() || found.mode() & 0o022 != 0 {
        return Err(io::Error::other("other users can write there"));
    }
    File::open(directory)
}

fn lock(file: File, how: FlockArg) -> io::Result<Flock<File>> {
    Flock::lock(file, how).map_err(|(_, errno)| errno.into())
}

/// The claims of services that live; those of dead ones are removed.
fn live(directory: &Path) -> io::Result<Vec<Claimed>> {
    let mut live = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if !path
            .as_os_str()
            .as_encoded_bytes()
            .ends_with(SUFFIX.as_bytes())
        {
            continue;
        }
        let file = match File::open(&path) {
            // Its service has ended meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file?,
        };
        let mut file = match Flock::lock(file, FlockArg::LockSharedNonblock) {
            // Nobody holds the lock, so the service is dead. No claim is just being made: this
            // process holds the directory's lock.
            Ok(_) => {
                match fs::remove_file(&path) {
                    // Its service has ended at this very moment.
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => continue,
                }
            }
            Err((file, Errno::EWOULDBLOCK)) => file,
            Err((_, errno)) => return Err(errno.into()),
        };
        let mut text = String::new();
        file.rewind()?;
        file.take(CLAIM_BYTES_MAX).read_to_string(&mut text)?;
        live.extend(Claimed::from_text(&text));
    }
    Ok(live)
}

impl Claimed {
    fn to_text(&self) -> String {
        let how = if self.shares { "shared" } else { "alone" };
        let (first, end) = (self.uids.start, self.uids.end);
        format!("{first} {end} {how} {}", self.scratch_root.display())
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut words = text.splitn(4, ' ');
        let first = words.next()?.parse().ok()?;
        let end = words.next()?.parse().ok()?;
        let shares = words.next()? == "shared";
        Some(Self {
            uids: first..end,
            shares,
            scratch_root: PathBuf::from(words.next()?),
        })
    }

    fn excludes(&self, other: &Self) -> bool {
        let overlap = self.uids.start < other.uids.end && other.uids.start < self.uids.end;
        overlap && !(self.shares && other.shares)
    }

    fn why_not(&self, other: &Self, live: &[Self]) -> String {
        let shown = |uids: &Range<u32>| format!("{} to {}", uids.start, uids.end.saturating_sub(1));
        let count = self.uids.end - self.uids.start;
        let bases = (1..100).filter_map(|step| self.uids.start.checked_add(step * STEP));
        let free = bases.into_iter().find(|base| {
            let moved = Self {
                uids: *base..base.saturating_add(count),
                shares: false,
                scratch_root: PathBuf::new(),
            };
            !live.iter().any(|other| other.excludes(&moved))
        });
        let example = free.map_or_else(String::new, |base| format!(", {base} for example"));
        format!(
            "another service that runs on this host has uids {}, and this one would have {}: give one of \
             them another sandbox.uid_base{example}",
            shown(&other.uids),
            shown(&self.uids),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(uids: Range<u32>, shares: bool) -> Claimed {
        Claimed {
            uids,
            shares,
            scratch_root: PathBuf::from("/tmp/with a space"),
        }
    }

    #[test]
    fn uids_are_one_live_service_s_alone_unless_both_share() {
        let directory = std::env::temp_dir().join(format!("cj-claims-{}", std::process::id()));
        let make = |name: &str, uids, shares| {
            Claim::make(&directory, name, &claimed(uids, shares)).unwrap()
        };
        let first = make("a.claim", 5000..5100, false).unwrap();
        let error = make("b.claim", 5099..5200, false).unwrap_err();
        assert!(
            error.contains("has uids 5000 to 5099, and this one would have 5099 to 5199"),
            "{error}"
        );
        assert!(
            error.ends_with("another sandbox.uid_base, 15099 for example"),
            "{error}"
        );
        assert!(make("b.claim", 5000..5001, true).is_err());
        let tools = [
            make("c.claim", 5100..5154, true),
            make("d.claim", 5100..5154, true),
        ];
        assert!(tools.iter().all(Result::is_ok));
        assert!(make("e.claim", 5100..5101, false).is_err());
        drop((first, tools));
        // A dead service's claim takes no uids, and is removed.
        let dead = directory.join("dead.claim");
        fs::write(&dead, claimed(5000..5100, false).to_text()).unwrap();
        assert!(make("f.claim", 5000..5100, false).is_ok());
        assert!(!dead.exists());
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_claim_is_read_as_it_was_written() {
        let written = claimed(5000..5100, true);
        assert_eq!(Claimed::from_text(&written.to_text()), Some(written));
        assert_eq!(Claimed::from_text("nonsense"), None);
    }
}
