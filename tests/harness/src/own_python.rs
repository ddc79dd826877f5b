//! Interpreters that belong to one test, which may break them.

use crate::dir::{TestDir, set_mode};
use crate::python::{run_script, sandbox_python};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An interpreter that belongs to one test.
#[derive(Debug)]
pub struct OwnPython {
    dir: TestDir,
    /// Its file.
    pub bin: PathBuf,
    layers: &'static str,
    /// The directory of its modules; `None` for a script.
    site: Option<PathBuf>,
}

impl OwnPython {
    /// A script with this text. Workers keep the host's root, which has the script's own
    /// interpreter.
    #[must_use]
    pub fn script(text: &str) -> Self {
        let dir = TestDir::new("python");
        let bin = dir.join("python");
        let python = Self {
            dir,
            bin,
            layers: "[layers]\nmounts = \"off\"\n",
            site: None,
        };
        python.rewrite(text);
        python
    }

    /// A shell script that is no worker. When it is asked for the paths of its files, it answers as
    /// a Python does.
    #[must_use]
    pub fn shell(text: &str) -> Self {
        let real = sandbox_python();
        let answers = format!(
            "case \"$*\" in *' -c '*) exec {} \"$@\";; esac",
            real.display()
        );
        Self::script(&format!("#!/bin/sh\n{answers}\n{text}\n"))
    }

    /// Replaces a script by another script, in one step.
    pub fn rewrite(&self, text: &str) {
        let new = self.dir.join("new");
        fs::write(&new, text).expect("write");
        set_mode(&new, 0o755).expect("chmod");
        fs::rename(&new, &self.bin).expect("rename");
    }

    /// A copy of the sandbox venv with nothing but six and these modules.
    #[must_use]
    pub fn venv(modules: &[(&str, &str)]) -> Self {
        let dir = TestDir::new("python");
        let script = "import six, sysconfig; print(six.__file__, sysconfig.get_path('purelib'))";
        let asked = run_script(sandbox_python(), script, b"");
        let asked = String::from_utf8(asked).expect("UTF-8");
        let (six, site) = asked.trim().split_once(' ').expect("two paths");
        let from = sandbox_python();
        let from = from.ancestors().nth(2).expect("a venv");
        let site = dir.join(Path::new(site).strip_prefix(from).expect("below"));
        let bin = dir.join("bin");
        fs::create_dir_all(&site).expect("mkdir");
        fs::create_dir(&bin).expect("mkdir");
        let bin = bin.join("python");
        fs::copy(sandbox_python(), &bin).expect("copy");
        let config = "pyvenv.cfg";
        fs::copy(from.join(config), dir.join(config)).expect("copy");
        fs::copy(six, site.join("six.py")).expect("copy");
        let python = Self {
            dir,
            bin,
            layers: "",
            site: Some(site),
        };
        for (name, source) in modules {
            python.write_module(name, source);
        }
        python
    }

    /// Writes a module. Workers that are warm have the old one.
    pub fn write_module(&self, name: &str, source: &str) {
        let site = self.site.as_ref().expect("a venv");
        fs::write(site.join(format!("{name}.py")), source).expect("write");
    }

    /// Copies a whole package.
    pub fn copy_package(&self, package: &Path) {
        let site = self.site.as_ref().expect("a venv");
        let copied = Command::new("cp").arg("-r").args([package, site]).status();
        assert!(copied.expect("cp").success(), "{}", package.display());
    }

    /// Configuration that names this interpreter and what it preloads.
    #[must_use]
    pub fn overrides(&self, preload: &[&str]) -> String {
        let layers = self.layers;
        format!(
            "{layers}[python]\nbin = {:?}\npreload = {preload:?}",
            self.bin
        )
    }
}
