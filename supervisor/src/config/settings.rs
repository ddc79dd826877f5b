//! The values of all keys, each with the source that it came from. A later source replaces the
//! value of a key. So tables are merged, and lists are not.

use super::error::ConfigError;
use super::keys;
use super::model::Config;
use super::note::Note;
use super::suggest;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use toml::{Table, Value};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// No source has the key.
    Default,
    /// The original's YAML file, and the name that the key has there.
    Yaml(Arc<Path>, String),
    /// A TOML file.
    Toml(Arc<Path>),
    /// An environment variable of this name.
    Environment(String),
    /// A flag of this name.
    Flag(&'static str),
}

/// Values by the paths of their keys, and the mistakes in the sources.
#[derive(Debug, Default)]
pub struct Settings {
    values: BTreeMap<Vec<String>, (Value, Origin)>,
    mistakes: Vec<ConfigError>,
    replaced: Vec<Note>,
}

impl Settings {
    /// Sets the value of a key, in the place of the value of an earlier source.
    ///
    /// # Errors
    /// There is no such key, or the value is not right.
    pub fn set(
        &mut self,
        path: &[String],
        value: Value,
        origin: Origin,
    ) -> Result<(), ConfigError> {
        let Some((_, key)) = keys::find(path) else {
            return Err(refuse(path, &value, &origin));
        };
        if !key.kind.admits(&value) {
            return Err(origin.refuse(path, &value, &key.kind.refusal(&value)));
        }
        let said = self
            .values
            .insert(path.to_vec(), (value.clone(), origin.clone()));
        if let Some((old, Origin::Yaml(yaml, name))) = said
            && let Origin::Toml(toml) = origin
            && !is_same(&old, &value)
        {
            self.replaced.push(Note::Warning(format!(
                "{}: {name} = {old} does not count: {} has {} = {value}",
                yaml.display(),
                toml.display(),
                dotted(path)
            )));
        }
        Ok(())
    }

    /// What the original's file says in vain, because a TOML file says something else. Both are
    /// files that an operator writes, or that an image brings along, so neither is there by chance.
    pub fn take_replaced(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.replaced)
    }

    /// Keeps what is wrong until all sources are read.
    pub fn note(&mut self, result: Result<(), ConfigError>) {
        self.mistakes.extend(result.err());
    }

    /// Where the value of this key came from.
    pub fn origin(&self, path: &[String]) -> &Origin {
        self.values
            .get(path)
            .map_or(&Origin::Default, |(_, origin)| origin)
    }

    /// The values of all sources, with the paths of their keys.
    pub fn values(&self) -> impl Iterator<Item = (&[String], &Value)> {
        let values = self.values.iter();
        values.map(|(path, (value, _))| (path.as_slice(), value))
    }

    /// Whether a source gives the key exactly this value.
    #[must_use]
    pub fn say(&self, path: &[String], value: &Value) -> bool {
        self.values.get(path).is_some_and(|(said, _)| said == value)
    }

    /// The configuration: these values, and the defaults of all other keys.
    ///
    /// # Errors
    /// All that is wrong in the sources.
    pub fn to_config(&mut self) -> Result<Config, ConfigError> {
        ConfigError::of_all(std::mem::take(&mut self.mistakes))?;
        let mut root = Table::new();
        for (path, (value, _)) in &self.values {
            insert(&mut root, path, value.clone());
        }
        // Every value was admitted by its key, so what fails here is a key that `Config` lacks.
        let mut config: Config = root.try_into().map_err(ConfigError::Inconsistent)?;
        let memory = ["cgroup", "memory_bytes_max"].map(str::to_owned);
        if *self.origin(&memory) == Origin::Default {
            config.cgroup.memory_bytes_max = config.memory_bytes_default();
        }
        Ok(config)
    }
}

/// Whether two values mean the same: a number of seconds may be written with a point or without.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Integer(whole), Value::Float(number))
        | (Value::Float(number), Value::Integer(whole)) => *whole as f64 == *number,
        (one, other) => one == other,
    }
}

/// Puts a value where its path says; tables on the way are made.
pub fn insert(table: &mut Table, path: &[String], value: Value) {
    match path {
        [] => {}
        [name] => {
            table.insert(name.clone(), value);
        }
        [name, rest @ ..] => {
            let inner = table
                .entry(name.clone())
                .or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// The error for a path that is not the path of a key.
fn refuse(path: &[String], value: &Value, origin: &Origin) -> ConfigError {
    if keys::is_table(path) {
        return origin.refuse(path, value, "must be a table");
    }
    let mut table = &path[..path.len().saturating_sub(1)];
    // The nearest table above the path that exists. Above `workers.x` it is the top level, since
    // `workers` is a number.
    while !keys::is_table(table) {
        table = &table[..table.len() - 1];
    }
    let right = match (suggest::key(path, table), table) {
        // A top-level key that came behind a table's head belongs to that table.
        (Some(meant), [_, ..]) if meant.len() == 1 => format!(
            "did you mean {}, which stands before the first [table]?",
            dotted(&meant)
        ),
        (Some(meant), _) => format!("did you mean {}?", dotted(&meant)),
        (None, []) => format!("the keys are {}", keys::names_in(table).join(", ")),
        (None, table) => format!(
            "[{}] has {}",
            dotted(table),
            keys::names_in(table).join(", ")
        ),
    };
    origin.refuse(path, value, &format!("no such key; {right}"))
}

impl Origin {
    /// The error for a wrong value that came from here.
    pub fn refuse(&self, path: &[String], value: &Value, right: &str) -> ConfigError {
        let key = dotted(path);
        let said = match self {
            Self::Default => format!("{key} = {value} (default)"),
            Self::Yaml(file, key) => format!("{}: {key} = {value}", file.display()),
            Self::Toml(file) => format!("{}: {key} = {value}", file.display()),
            Self::Environment(name) => format!("{name}={} (environment)", plain(value)),
            Self::Flag(name) => format!("{name} {}", plain(value)),
        };
        ConfigError::Value {
            said,
            right: right.to_owned(),
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => write!(f, "default"),
            Self::Yaml(file, key) => write!(f, "{}, {key}", file.display()),
            Self::Toml(file) => write!(f, "{}", file.display()),
            Self::Environment(name) => write!(f, "environment, {name}"),
            Self::Flag(name) => write!(f, "{name}"),
        }
    }
}

/// A path as it is written in TOML.
pub fn dotted(path: &[String]) -> String {
    let bare = |name: &&String| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        !name.is_empty() && name.bytes().all(plain)
    };
    let names: Vec<String> = path
        .iter()
        .map(|name| match Some(name).filter(bare) {
            Some(name) => name.clone(),
            None => Value::String(name.clone()).to_string(),
        })
        .collect();
    names.join(".")
}

/// A value as it is written in a variable or a flag.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(","),
        value => value.to_string(),
    }
}
