//! Small file systems that belong to one test, which can fill them.

use crate::dir::TestDir;
use crate::wait::{START_MAX, wait_until};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted tmpfs; unmounted when this is dropped.
#[derive(Debug)]
pub struct SmallDisk(TestDir);

impl SmallDisk {
    /// Mounts a tmpfs that is open to everybody like `/tmp`. Takes root.
    #[must_use]
    pub fn mount(options: &str) -> Self {
        let dir = TestDir::new("disk");
        let options = format!("mode=1777,{options}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "cj-test"])
            .arg(&*dir)
            .status();
        assert!(mounted.expect("mount").success());
        Self(dir)
    }

    /// The directory at which it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Waits until the service that uses it is idle: a worker, two sandboxes, and no files that
    /// wait to be removed.
    pub fn wait_for_quiet(&self) {
        wait_until("an idle scratch root", START_MAX, || {
            let entries = fs::read_dir(self.path()).into_iter().flatten().flatten();
            let (dirs, waiting): (Vec<_>, Vec<_>) = entries
                .map(|entry| entry.path())
                .partition(|dir| dir.join("jailed_code").exists());
            // The spawner's mark stays in the directory for files that wait to be removed.
            let is_empty = |dir: &PathBuf| {
                let mut found = fs::read_dir(dir).into_iter().flatten().flatten();
                found.all(|entry| entry.file_name() == ".service")
            };
            dirs.len() == 3 && waiting.iter().all(is_empty)
        });
    }

    /// Fills the disk. Returns the file that takes all its space.
    pub fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let file = File::options().create(true).append(true).open(&path);
        let mut file = file.expect("open");
        for chunk in [65536, 4096] {
            while file.write_all(&vec![b'x'; chunk]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Unmounts lazily: the service of a failed test may still be ending.
        let unmounted = Command::new("umount").arg("-l").arg(&*self.0).status();
        assert!(unmounted.expect("umount").success());
    }
}
