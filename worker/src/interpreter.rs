//! What the worker asks its interpreter, and the kernel about its own process.

use pyo3::prelude::*;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

/// Directories that Python itself reads: the venv, the standard library, and the libraries of the
/// base installation. They are found without an import of a module that a fresh interpreter would
/// not have.
pub fn own_paths(py: Python<'_>) -> PyResult<Vec<PathBuf>> {
    let sys = py.import("sys")?;
    let prefix: PathBuf = sys.getattr("prefix")?.extract()?;
    let base: PathBuf = sys.getattr("base_prefix")?.extract()?;
    let os_file: PathBuf = py.import("os")?.getattr("__file__")?.extract()?;
    let stdlib = os_file.parent().map_or_else(PathBuf::new, Path::to_owned);
    Ok(vec![prefix, base.join("lib"), stdlib])
}

/// The directories that Python imports from, except paths that depend on the working directory. The
/// number is bounded, since all must fit into one frame: a venv has four.
pub fn import_paths(py: Python<'_>) -> PyResult<Vec<PathBuf>> {
    const PATHS_MAX: usize = 32;
    const PATH_BYTES_MAX: usize = 512;
    let paths: Vec<PathBuf> = py.import("sys")?.getattr("path")?.extract()?;
    let short = |path: &PathBuf| path.as_os_str().len() <= PATH_BYTES_MAX;
    let paths = paths.into_iter().filter(|path| path.is_absolute());
    Ok(paths.filter(short).take(PATHS_MAX).collect())
}

/// The version, like `3.11.2`.
pub fn version(py: Python<'_>) -> PyResult<String> {
    let text: String = py.import("sys")?.getattr("version")?.extract()?;
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}

/// Files in which the kernel describes this process. They are opened before Landlock closes
/// `/proc`.
#[derive(Debug)]
pub struct OwnProcess {
    stat: File,
    statm: File,
    smaps: Option<File>,
    children: Option<File>,
}

impl OwnProcess {
    /// Opens `/proc/self/stat`, `/proc/self/statm`, and where the kernel has them
    /// (CONFIG_PROC_PAGE_MONITOR, CONFIG_PROC_CHILDREN) `/proc/self/smaps` and
    /// `/proc/self/task/PID/children` (proc(5)).
    pub fn open() -> io::Result<Self> {
        let children = format!("/proc/self/task/{}/children", std::process::id());
        Ok(Self {
            stat: File::open("/proc/self/stat")?,
            statm: File::open("/proc/self/statm")?,
            smaps: if_there(File::open("/proc/self/smaps"))?,
            children: if_there(File::open(children))?,
        })
    }

    /// The pids of all children, also of zombies; empty if the kernel does not say.
    pub fn children(&self) -> io::Result<Vec<i32>> {
        let Some(children) = &self.children else {
            return Ok(Vec::new());
        };
        let text = read_again(children)?;
        let pids = text.split_ascii_whitespace().map(str::parse);
        pids.collect::<Result<_, _>>().map_err(io::Error::other)
    }

    /// The mappings of this process, `smaps` of proc(5); empty if the kernel does not say.
    pub fn mappings(&self) -> io::Result<String> {
        self.smaps.as_ref().map_or(Ok(String::new()), read_again)
    }

    /// The same, into `text`. It allocates memory only if `text` is too small.
    pub fn mappings_into(&self, text: &mut String) -> io::Result<()> {
        text.clear();
        let Some(mut smaps) = self.smaps.as_ref() else {
            return Ok(());
        };
        smaps.rewind()?;
        smaps.read_to_string(text).map(drop)
    }

    /// The number of threads of this process: the 18th field after the closing parenthesis of the
    /// command.
    pub fn threads(&self) -> io::Result<u64> {
        let stat = read_again(&self.stat)?;
        let after_command = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        number(after_command, 17)
    }

    /// Bytes of address space that are mapped now.
    pub fn image_bytes(&self) -> io::Result<u64> {
        let pages = number(&read_again(&self.statm)?, 0)?;
        // SAFETY: sysconf(3) reads no memory of ours.
        let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        Ok(pages * page_bytes.cast_unsigned())
    }
}

/// A file that some kernels do not have. Any other error is an error.
fn if_there(opened: io::Result<File>) -> io::Result<Option<File>> {
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// Reads the file from its beginning. The kernel writes these files anew for each such read.
fn read_again(mut file: &File) -> io::Result<String> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text)
}

fn number(line: &str, field: usize) -> io::Result<u64> {
    line.split_ascii_whitespace()
        .nth(field)
        .and_then(|word| word.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no number in field {field} of {line:?}")))
}
