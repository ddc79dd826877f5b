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
}
