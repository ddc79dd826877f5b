//! A sandbox's directory: `jailed_code`, `tmp` and, if sent, `python_lib.zip`.
//!
//! The directory and its files belong to the worker, `tmp` to the sandbox. The library's file is
//! made ahead, empty, because a sandbox that has stepped down can no longer make one that it doesn't
//! own; a job without a library removes it. Cleaning up is the spawner's work.

use super::LayerError;
use nix::sys::stat::{Mode, umask};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const LAYER: &str = "scratch directory";

/// The only file that a request may bring.
pub const PYTHON_LIB: &str = "python_lib.zip";
/// The runner's file, as authors see it in tracebacks.
pub const JAILED_CODE: &str = "jailed_code";
/// The only place that a run may write to.
pub const TMP: &str = "tmp";

/// Its group may write to it until the job's files are in place; nobody but the owner may later.
const DIR_MODE: u32 = 0o775;
/// Its owner's alone: the original's is open to every user of the host.
const TMP_MODE: u32 = 0o700;
/// The sandbox writes the library through a descriptor opened before it stepped down.
const FILE_MODE: u32 = 0o644;

/// A directory made, and the current one.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    library: File,
    umask: Mode,
}

impl Scratch {
    /// Makes the directory and its files and enters it, still as the worker's user.
    ///
    /// No mode is set after the fact: where sandboxes share a uid, chmod is denied. So the umask lets
    /// every mode through until `tmp` is made.
    pub fn make(path: PathBuf, jailed_code: &[u8]) -> Result<Self, LayerError> {
        let umask = umask(Mode::empty());
        make_dir(&path, DIR_MODE).map_err(LayerError::at(LAYER, "mkdir"))?;
        std::env::set_current_dir(&path).map_err(LayerError::at(LAYER, "chdir"))?;
        new_file(JAILED_CODE)
            .and_then(|mut file| file.write_all(jailed_code))
            .map_err(LayerError::at(LAYER, "jailed_code"))?;
        let library = new_file(PYTHON_LIB).map_err(LayerError::at(LAYER, "python_lib.zip"))?;
        Ok(Self {
            path,
            library,
            umask,
        })
    }

    /// Makes `tmp`, as the sandbox's user.
    pub fn make_tmp(&self) -> Result<(), LayerError> {
        make_dir(Path::new(TMP), TMP_MODE).map_err(LayerError::at(LAYER, "mkdir tmp"))?;
        umask(self.umask);
        Ok(())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The descriptor that must stay open until the library is placed.
    pub fn descriptor(&self) -> RawFd {
        self.library.as_raw_fd()
    }

    /// Puts the library in its place, or takes the place away.
    pub fn place_library(mut self, library: Option<&[u8]>) -> Result<(), LayerError> {
        match library {
            Some(bytes) => self.library.write_all(bytes),
            None => fs::remove_file(PYTHON_LIB),
        }
        .map_err(LayerError::at(LAYER, "python_lib.zip"))
    }
}

fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().mode(mode).create(path)
}

fn new_file(name: &str) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(name)
}
