//! A sandbox's directory: `jailed_code`, `tmp` and, if sent, `python_lib.zip`.
//!
//! The directory and its files belong to the worker, `tmp` belongs to the sandbox. The library's
//! file is made ahead and empty: a sandbox that has stepped down can only make files that it owns.
//! A job without a library removes the file. Cleaning up is the spawner's work.

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

/// The worker's group may write to the directory until the job's files are in place; later only its
/// owner may.
const DIR_MODE: u32 = 0o775;
/// Only the owner may use it. The original's `tmp` is open to every user of the host.
const TMP_MODE: u32 = 0o700;
/// The content of this file is no secret.
const JAILED_CODE_MODE: u32 = 0o644;
/// Only the sandbox of a course reads its library: the file has that sandbox's group.
const LIBRARY_MODE: u32 = 0o640;

/// The directory, still empty. It is the current directory of the process.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    umask: Mode,
}

/// The directory with its files.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    library: File,
    umask: Mode,
}

impl Directory {
    /// Enters the directory, still as the worker's user and group. Makes the directory first,
    /// unless it is a seat, which the spawner has made.
    ///
    /// Files get their modes when they are made, since chmod is denied where sandboxes share a uid.
    /// So the umask is empty until `tmp` is made.
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

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The descriptor that must stay open until the library is placed.
    pub fn descriptor(&self) -> RawFd {
        self.library.as_raw_fd()
    }

    /// Writes the library into its file, or removes the file.
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
