//! `codejail import-settings FILE`: makes a configuration of the original's settings, and says for
//! each key what became of it.

mod foreign;

use crate::config::ConfigError;
use crate::config::import::{Document, Imported, import};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// The Python program that executes a settings file.
const SCRIPT: &str = include_str!("django_settings.py");

/// Settings have some kilobytes; those of a service with a hundred limit overrides have 20.
const SETTINGS_BYTES_MAX: u64 = 4 << 20;

/// Why nothing could be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file can't be read.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, #[source] io::Error),
    /// The file is larger than settings are.
    #[error("{0}: it has more than {SETTINGS_BYTES_MAX} bytes, so it is no settings file")]
    TooLarge(PathBuf),
    /// It is not UTF-8.
    #[error("{0}: it is not UTF-8")]
    Encoding(PathBuf),
    /// It is not YAML.
    #[error(transparent)]
    Yaml(ConfigError),
    /// The configuration in TOML, over which the settings go, has a mistake.
    #[error(transparent)]
    Over(ConfigError),
    /// The Python that executes it can't be started.
    #[error("cannot start {0}, which --python names: {1}")]
    Start(PathBuf, #[source] io::Error),
    /// The file could not be executed; Python has said why.
    #[error(
        "{0}: Python could not execute it ({1}). If it imports modules that are missing, name a \
         Python that has them with --python, for example the original's"
    )]
    Execute(PathBuf, ExitStatus),
    /// The Python program wrote something else than settings.
    #[error("{0}: its settings can't be read from Python: {1}")]
    Answer(PathBuf, #[source] serde_json::Error),
}

impl ImportError {
    /// The exit status by sysexits(3): EX_NOINPUT, EX_DATAERR, EX_CONFIG.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Read(..) | Self::Start(..) => 66,
            Self::Over(_) => 78,
            _ => 65,
        }
    }
}

/// Imports a file: Python, if its name ends in `.py`, otherwise YAML. If a configuration in TOML is
/// named, the settings go over it.
///
/// # Errors
/// The file can't be read, parsed or executed. A key that is not understood is not an error.
pub fn run(file: &Path, python: &Path, over: Option<&Path>) -> Result<Imported, ImportError> {
    let document = document(file, python)?;
    import(file, &document, over, foreign::why).map_err(ImportError::Over)
}

fn document(file: &Path, python: &Path) -> Result<Document, ImportError> {
    let opened = std::fs::File::open(file);
    let text = opened.and_then(bounded);
    let text = text.map_err(|error| ImportError::Read(file.to_owned(), error))?;
    let text = text.ok_or_else(|| ImportError::TooLarge(file.to_owned()))?;
    let text = String::from_utf8(text).map_err(|_| ImportError::Encoding(file.to_owned()))?;
    if file.extension().is_none_or(|extension| extension != "py") {
        return Document::of_yaml(file, &text).map_err(ImportError::Yaml);
    }
    Ok(Document::of_json(&executed(file, python)?))
}

/// The settings that Python finds when it executes the file.
fn executed(file: &Path, python: &Path) -> Result<serde_json::Value, ImportError> {
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| ImportError::Start(python.to_owned(), error))?;
    let read = child.stdout.take().map_or(Ok(None), bounded);
    // The script ends itself after a minute. Its pipe was read to the end, or is closed.
    let ended = child.wait();
    let failed = |error| ImportError::Read(file.to_owned(), error);
    let (answer, status) = (read.map_err(failed)?, ended.map_err(failed)?);
    if !status.success() {
        return Err(ImportError::Execute(file.to_owned(), status));
    }
    let answer = answer.ok_or_else(|| ImportError::TooLarge(file.to_owned()))?;
    serde_json::from_slice(&answer).map_err(|error| ImportError::Answer(file.to_owned(), error))
}

/// All bytes; none if there are too many.
fn bounded(source: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let read = source
        .take(SETTINGS_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    Ok((read as u64 <= SETTINGS_BYTES_MAX).then_some(bytes))
}
