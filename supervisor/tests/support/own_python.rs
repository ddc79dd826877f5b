//! Directories of a test's own: file systems that can be filled, interpreters that can be broken.

use super::START_MAX;
use super::processes::wait_for;
use super::setup::sandbox_python;
use nix::unistd::geteuid;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that everybody may enter; removed at the end.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
    mounted: bool,
}

impl Scratch {
    pub fn directory() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = format!("/tmp/cj-own-{}-{}-{number}", std::process::id(), geteuid());
        let dir = PathBuf::from(dir);
        fs::create_dir(&dir).expect("mkdir");
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).expect("chmod");
        let mounted = false;
        Self { dir, mounted }
    }

    /// A small file system of its own, as `/tmp` for who may write.
    pub fn tmpfs(options: &str) -> Self {
        let mut scratch = Self::directory();
        let options = format!("mode=1777,{options}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "cj-test"])
            .arg(&scratch.dir)
            .status();
        assert!(mounted.expect("mount").success());
        scratch.mounted = true;
        scratch
    }

    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Waits until the service in it is idle: a worker, two sandboxes, and nothing that waits to be
    /// removed.
    pub fn wait_for_quiet(&self) {
        wait_for("an idle scratch root", START_MAX, || {
            let entries = fs::read_dir(&self.dir).ok()?.flatten();
            let (dirs, waiting): (Vec<_>, Vec<_>) = entries
                .map(|entry| entry.path())
                .partition(|dir| dir.join("jailed_code").exists());
            let nothing_waits = waiting
                .iter()
                .all(|dir| fs::read_dir(dir).is_ok_and(|entries| entries.count() == 0));
            (dirs.len() == 3 && nothing_waits).then_some(())
        });
    }

    /// Takes all its space; the file that does.
    pub fn fill(&self) -> PathBuf {
        let path = self.dir.join("filler");
        let file = File::options().create(true).append(true).open(&path);
        let mut file = file.expect("open");
        for chunk in [65536, 4096] {
            while file.write_all(&vec![b'x'; chunk]).is_ok() {}
        }
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.mounted {
            // Lazily: a service of a test that failed may still end.
            let unmounted = Command::new("umount").arg("-l").arg(&self.dir).status();
            assert!(unmounted.expect("umount").success());
        }
        fs::remove_dir_all(&self.dir).expect("remove");
    }
}

/// An interpreter of a test's own.
#[derive(Debug)]
pub struct OwnPython {
    scratch: Scratch,
    /// Its file.
    pub bin: PathBuf,
    layers: &'static str,
    /// Where its modules are; none for a script.
    site: Option<PathBuf>,
}

impl OwnPython {
    /// Whatever this text is as a program; workers keep the host's root, which has its interpreter.
    pub fn script(text: &str) -> Self {
        let scratch = Scratch::directory();
        let bin = scratch.path().join("python");
        let python = Self {
            scratch,
            bin,
            layers: "[layers]\nmounts = \"off\"\n",
            site: None,
        };
        python.rewrite(text);
        python
    }

    /// Replaces a script by another, at once.
    pub fn rewrite(&self, text: &str) {
        let new = self.scratch.path().join("new");
        fs::write(&new, text).expect("write");
        fs::set_permissions(&new, Permissions::from_mode(0o755)).expect("chmod");
        fs::rename(&new, &self.bin).expect("rename");
    }

    /// A copy of the sandbox venv with nothing but six and these modules.
    pub fn venv(modules: &[(&str, &str)]) -> Self {
        let scratch = Scratch::directory();
        let script = "import six, sysconfig; print(six.__file__, sysconfig.get_path('purelib'))";
        let asked = Command::new(sandbox_python()).args(["-c", script]).output();
        let asked = String::from_utf8(asked.expect("python").stdout).expect("UTF-8");
        let (six, site) = asked.trim().split_once(' ').expect("two paths");
        let from = sandbox_python();
        let from = from.ancestors().nth(2).expect("a venv");
        let site = scratch
            .path()
            .join(Path::new(site).strip_prefix(from).expect("below"));
        let bin = scratch.path().join("bin");
        fs::create_dir_all(&site).expect("mkdir");
        fs::create_dir(&bin).expect("mkdir");
        let bin = bin.join("python");
        fs::copy(sandbox_python(), &bin).expect("copy");
        let config = "pyvenv.cfg";
        fs::copy(from.join(config), scratch.path().join(config)).expect("copy");
        fs::copy(six, site.join("six.py")).expect("copy");
        let python = Self {
            scratch,
            bin,
            layers: "",
            site: Some(site),
        };
        for (name, source) in modules {
            python.write_module(name, source);
        }
        python
    }

    /// Writes a module; workers that are warm already have the old one.
    pub fn write_module(&self, name: &str, source: &str) {
        let site = self.site.as_ref().expect("a venv");
        fs::write(site.join(format!("{name}.py")), source).expect("write");
    }

    /// Copies a package, whole.
    pub fn copy_package(&self, package: &Path) {
        let site = self.site.as_ref().expect("a venv");
        let copied = Command::new("cp").arg("-r").args([package, site]).status();
        assert!(copied.expect("cp").success(), "{}", package.display());
    }

    /// As a configuration names it, with what it shall preload.
    pub fn overrides(&self, preload: &[&str]) -> String {
        let layers = self.layers;
        format!(
            "{layers}[python]\nbin = {:?}\npreload = {preload:?}",
            self.bin
        )
    }
}
