//! Why a configuration can't be used.

use super::yaml;
use std::path::PathBuf;

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, #[source] std::io::Error),
    /// It is not TOML.
    #[error("{0}: {1}")]
    Toml(PathBuf, #[source] Box<toml::de::Error>),
    /// It is not YAML, or none that makes settings.
    #[error("{0}: {1}")]
    Yaml(PathBuf, #[source] Box<yaml::YamlError>),
    /// It is a good file of the other of the two formats.
    #[error("{0}: {1}")]
    OtherFormat(PathBuf, &'static str),
    /// A key that does not exist, or a value that can't be.
    #[error("{said}: {right}")]
    Value {
        /// Key, value and source as the source writes them.
        said: String,
        /// What would be right.
        right: String,
    },
    /// Keys and configuration don't agree: a mistake in this program.
    #[error("{0}")]
    Inconsistent(#[source] toml::de::Error),
    /// A value that TOML can't write, of which the keys admit none: a mistake in this program.
    #[error("{0}")]
    Unwritable(#[source] toml::ser::Error),
    /// More than one thing is wrong: all of it, in the order of the sources and of their lines.
    #[error("{}", self.told().join("\n"))]
    Several(Vec<ConfigError>),
}

/// Mistakes that are told at once: a screen full.
const MISTAKES_TOLD_MAX: usize = 20;

impl ConfigError {
    /// What is wrong, as texts to be told one after the other.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        let Self::Several(mistakes) = self else {
            return vec![self.to_string()];
        };
        let told = mistakes.iter().take(MISTAKES_TOLD_MAX);
        let mut told: Vec<String> = told.map(ToString::to_string).collect();
        if mistakes.len() > told.len() {
            told.push(format!("and {} mistakes more", mistakes.len() - told.len()));
        }
        told
    }

    /// All that is wrong as one; nothing if nothing is.
    ///
    /// # Errors
    /// Something is.
    pub fn of_all(mut mistakes: Vec<Self>) -> Result<(), Self> {
        match mistakes.len() {
            0 => Ok(()),
            1 => Err(mistakes.remove(0)),
            _ => Err(Self::Several(mistakes)),
        }
    }
}
