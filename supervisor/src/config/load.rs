//! The sources and their order: defaults < the original's YAML < TOML < environment < flags.

use super::error::ConfigError;
use super::keys::{self, KEYS};
use super::model::Config;
use super::note::Note;
use super::original_yaml;
use super::settings::{Origin, Settings};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::{Table, Value};

/// Names the original's YAML file, as it always did.
pub const YAML_VARIABLE: &str = "CODEJAIL_SERVICE_CFG";
/// Names the TOML file where `--config` does not.
pub const TOML_VARIABLE: &str = "CODEJAIL_CONFIG";

/// A flag that gives a key's value.
#[derive(Debug, Clone)]
pub struct Flag {
    /// As it is typed.
    pub name: &'static str,
    /// Its key, which has one segment.
    pub key: &'static str,
    /// What was typed after it.
    pub text: String,
}

/// All that a configuration is read from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// The other flags.
    pub flags: Vec<Flag>,
    /// The process's environment.
    pub environment: BTreeMap<OsString, OsString>,
}

/// A configuration and how it came about.
#[derive(Debug)]
pub struct Loaded {
    /// Complete and checked.
    pub config: Config,
    /// Where each value came from.
    pub settings: Settings,
    /// What was passed over, for the log.
    pub notes: Vec<Note>,
}

impl Sources {
    /// Those of this process.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, flags: Vec<Flag>) -> Self {
        Self {
            file,
            flags,
            environment: std::env::vars_os().collect(),
        }
    }

    /// Reads all sources, and checks what they say.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let mut settings = Settings::default();
        let mut notes = Vec::new();
        if let Some(path) = self.path(YAML_VARIABLE) {
            notes = original_yaml::read(&path, &read_file(&path)?, &mut settings)?;
        }
        if let Some(path) = self.file.clone().or_else(|| self.path(TOML_VARIABLE)) {
            read_toml(&path, &read_file(&path)?, &mut settings)?;
        }
        self.read_environment(&mut settings)?;
        self.read_flags(&mut settings)?;
        let config = settings.to_config()?;
        config.check(&settings)?;
        Ok(Loaded {
            config,
            settings,
            notes,
        })
    }

    /// The file that a variable names; an empty one names none.
    fn path(&self, variable: &str) -> Option<PathBuf> {
        let value = self.environment.get(&OsString::from(variable))?;
        (!value.is_empty()).then(|| PathBuf::from(value))
    }

    /// Only names that belong to keys are looked at: beside a service named codejail, Kubernetes sets
    /// `CODEJAIL_PORT=tcp://...` and others.
    fn read_environment(&self, settings: &mut Settings) -> Result<(), ConfigError> {
        for key in KEYS {
            let Some(variable) = key.variable() else {
                continue;
            };
            let Some(text) = self.environment.get(&OsString::from(&variable)) else {
                continue;
            };
            // What is not UTF-8 is refused by the key, or names no file.
            let value = key.kind.read(&text.to_string_lossy());
            settings.set(&segments(key.name), value, Origin::Environment(variable))?;
        }
        Ok(())
    }

    fn read_flags(&self, settings: &mut Settings) -> Result<(), ConfigError> {
        for flag in &self.flags {
            let path = segments(flag.key);
            if let Some((_, key)) = keys::find(&path) {
                settings.set(&path, key.kind.read(&flag.text), Origin::Flag(flag.name))?;
            }
        }
        Ok(())
    }
}

fn segments(name: &str) -> Vec<String> {
    name.split('.').map(str::to_owned).collect()
}

fn read_file(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| ConfigError::Read(path.to_owned(), error))
}

fn read_toml(path: &Path, text: &str, settings: &mut Settings) -> Result<(), ConfigError> {
    let table: Table = toml::from_str(text)
        .map_err(|error| ConfigError::Toml(path.to_owned(), Box::new(error)))?;
    take_table(
        table,
        &mut Vec::new(),
        &Origin::Toml(Arc::from(path)),
        settings,
    )
}

fn take_table(
    table: Table,
    path: &mut Vec<String>,
    origin: &Origin,
    settings: &mut Settings,
) -> Result<(), ConfigError> {
    for (name, value) in table {
        path.push(name);
        match value {
            Value::Table(inner) if keys::is_table(path) => {
                take_table(inner, path, origin, settings)?;
            }
            value => settings.set(path, value, origin.clone())?,
        }
        path.pop();
    }
    Ok(())
}
