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
    /// It is not YAML, or is YAML that makes no settings.
    #[error("{0}: {1}")]
    Yaml(PathBuf, #[source] Box<yaml::YamlError>),
    /// It is a good file, but of the other format.
    #[error("{0}: {1}")]
    OtherFormat(PathBuf, &'static str),
    /// A key that does not exist, or a value that is not allowed.
    #[error("{said}: {right}")]
    Value {
        /// Key, value and source as the source writes them.
        said: String,
        /// What would be right.
        right: String,
    },
    /// The list of keys and the configuration don't agree: a mistake in this program.
    #[error("{0}")]
    Inconsistent(#[source] toml::de::Error),
    /// A value that TOML can't write. No key allows such values, so this is a mistake in this
    /// program.
    #[error("{0}")]
    Unwritable(#[source] toml::ser::Error),
    /// Several mistakes, in the order of the sources and of their lines.
    #[error("{}", self.told().join("\n"))]
    Several(Vec<ConfigError>),
}

/// Most mistakes that are shown at once: a screen full.
const MISTAKES_TOLD_MAX: usize = 20;

impl ConfigError {
    /// The texts of all mistakes.
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

    /// All mistakes as one error.
    ///
    /// # Errors
    /// There is at least one mistake.
    pub fn of_all(mut mistakes: Vec<Self>) -> Result<(), Self> {
        match mistakes.len() {
            0 => Ok(()),
            1 => Err(mistakes.remove(0)),
            _ => Err(Self::Several(mistakes)),
        }
    }
}
