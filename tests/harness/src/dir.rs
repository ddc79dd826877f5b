//! Directories of tests. `CODEJAIL_TEST_KEEP` keeps them: `1` those of failed tests, `all` every
//! one.

use anyhow::{Context, Result};
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long the removal of a directory is tried again: ending processes may still write into it.
const REMOVE_MAX: Duration = Duration::from_secs(5);

/// A directory below `/tmp` that everybody may enter; removed when this is dropped, unless it is
/// kept.
#[derive(Debug)]
pub struct TestDir(PathBuf);

impl TestDir {
    /// Makes `/tmp/cj-NAME-PID-NUMBER`.
    ///
    /// # Errors
    /// It can't be made.
    pub fn try_new(name: &str) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = PathBuf::from(format!("/tmp/cj-{name}-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => {
                    set_mode(&path, 0o755)?;
                    return Ok(Self(path));
                }
                // An earlier process with the same pid left this directory.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| path.display().to_string()),
            }
        }
    }

    /// Makes one. Panics where [`Self::try_new`] fails.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::try_new(name).expect("a directory")
    }
}

impl Deref for TestDir {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        if is_kept() {
            eprintln!("kept: {}", self.0.display());
            return;
        }
        let deadline = Instant::now() + REMOVE_MAX;
        loop {
            match fs::remove_dir_all(&self.0) {
                Ok(()) => return,
                Err(error) if error.kind() == ErrorKind::NotFound => return,
                Err(_) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                // A second panic would hide why the test failed.
                Err(error) if std::thread::panicking() => {
                    eprintln!("{}: {error}", self.0.display());
                    return;
                }
                Err(error) => panic!("{}: {error}", self.0.display()),
            }
        }
    }
}

/// Whether the directory of the test that ends now is kept.
#[must_use]
pub fn is_kept() -> bool {
    match std::env::var("CODEJAIL_TEST_KEEP").as_deref() {
        Err(_) | Ok("" | "0") => false,
        Ok("all") => true,
        Ok(_) => std::thread::panicking(),
    }
}

/// Sets a path's permissions.
///
/// # Errors
/// They can't be set.
pub fn set_mode(path: &Path, mode: u32) -> Result<()> {
    let set = fs::set_permissions(path, Permissions::from_mode(mode));
    set.with_context(|| format!("{}: chmod", path.display()))
}

/// Makes a directory and its `file` writable for everybody, so that only the sandbox's layers
/// protect them.
pub fn make_writable(dir: &Path) {
    for path in [dir.to_owned(), dir.join("file")] {
        set_mode(&path, 0o777).expect("chmod");
    }
}
