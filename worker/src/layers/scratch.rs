//! A sandbox's directory: `jailed_code`, `tmp` and, if sent, `python_lib.zip`.
//!
//! The directory and its files belong to the worker, `tmp` to the sandbox. The library's file is
//! made ahead, empty, because a sandbox that has stepped down can no longer make one that it
//! doesn't own; a job without a library removes it. Cleaning up is the spawner's work.

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
/// Everybody knows what is in it.
const JAILED_CODE_MODE: u32 = 0o644;
/// A course's library is its own sandbox's business, whose group it has.
const LIBRARY_MODE: u32 = 0o640;

/// An empty directory, and the current one.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    umask: Mode,
}

/// A directory with its files.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    library: File,
    umask: Mode,
}

impl Directory {
    /// Enters the directory, still as the worker's user and group; makes it unless it is a seat,
    /// which the spawner has made.
    ///
    /// No mode is set after the fact: where sandboxes share a uid, chmod is denied. So the umask
    /// lets every mode through until `tmp` is made.
    pub fn enter(path: PathBuf, seat: bool) -> Result<Self, LayerError> {
        let umask = umask(Mode::empty());
        if !seat {
            make_dir(&path, DIR_MODE).map_err(LayerError::at(LAYER, "mkdir"))?;
        }
        std::env::set_current_dir(&path).map_err(LayerError::at(LAYER, "chdir"))?;
        Ok(Self { path, umask })
    }

    /// Makes its files, as the worker's user.
    pub fn furnish(self, jailed_code: &[u8]) -> Result<Scratch, LayerError> {
        new_file(JAILED_CODE, JAILED_CODE_MODE)
            .and_then(|mut file| file.write_all(jailed_code))
            .map_err(LayerError::at(LAYER, "jailed_code"))?;
        let library = new_file(PYTHON_LIB, LIBRARY_MODE);
        Ok(Scratch {
            path: self.path,
            library: library.map_err(LayerError::at(LAYER, "python_lib.zip"))?,
            umask: self.umask,
        })
    }
}

impl Scratch {
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

fn new_file(name: &str, mode: u32) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(name)
}
