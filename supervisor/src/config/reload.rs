//! What a reload may change: which keys have new values, and which of them wait for a restart.

use super::error::ConfigError;
use super::keys::{self, Applies};
use super::model::Config;
use super::print;
use super::settings::{dotted, insert};
use super::value_type::ValueType;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// A key that has a new value.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The key, as TOML writes it.
    pub key: String,
    /// When the new value counts.
    pub applies: Applies,
    path: Vec<String>,
    before: Option<Value>,
    after: Option<Value>,
    /// A variable for sandboxes. Its value may be secret, so no log may have it.
    is_private: bool,
    place: usize,
}

/// Written like `limits.CPU 2 -> 1`.
impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |value: &Option<Value>| match value {
            Some(value) => value.to_string(),
            None => "unset".to_owned(),
        };
        if self.is_private {
            return write!(f, "{} (values not shown)", self.key);
        }
        let (before, after) = (shown(&self.before), shown(&self.after));
        write!(f, "{} {before} -> {after}", self.key)
    }
}

impl Config {
    /// This configuration, but with the values of `started` for each key that takes a restart.
    /// `started` is the configuration at the start. Also returns the changes that wait for a
    /// restart.
    ///
    /// # Errors
    /// The list of keys and the configuration don't agree: a mistake in this program.
    pub fn keeping_what_is_fixed(self, started: &Self) -> Result<(Self, Vec<Change>), ConfigError> {
        let mut waiting = self.changes_from(started)?;
        waiting.retain(|change| change.applies == Applies::Restart);
        let mut leaves: BTreeMap<_, _> = leaves(&self)?;
        for change in &waiting {
            match &change.before {
                Some(value) => leaves.insert(change.path.clone(), value.clone()),
                None => leaves.remove(&change.path),
            };
        }
        let mut root = Table::new();
        for (path, value) in leaves {
            insert(&mut root, &path, value);
        }
        let config = root.try_into().map_err(ConfigError::Inconsistent)?;
        Ok((config, waiting))
    }

    /// Every key whose value differs from that of `other`, in the order of the list of keys.
    ///
    /// # Errors
    /// The list of keys and the configuration don't agree: a mistake in this program.
    pub fn changes_from(&self, other: &Self) -> Result<Vec<Change>, ConfigError> {
        let (before, after) = (leaves(other)?, leaves(self)?);
        let mut changes = Vec::new();
        let only_before = before.keys().filter(|path| !after.contains_key(*path));
        for path in after.keys().chain(only_before) {
            let values = (before.get(path), after.get(path));
            if let Some((place, key)) = keys::find(path)
                && values.0 != values.1
            {
                changes.push(Change {
                    key: dotted(path),
                    applies: key.applies,
                    path: path.clone(),
                    before: values.0.cloned(),
                    after: values.1.cloned(),
                    is_private: key.kind == ValueType::Text,
                    place,
                });
            }
        }
        changes.sort_by(|a, b| (a.place, &a.path).cmp(&(b.place, &b.path)));
        Ok(changes)
    }
}

fn leaves(config: &Config) -> Result<BTreeMap<Vec<String>, Value>, ConfigError> {
    let leaves = print::leaves(config).map_err(ConfigError::Unwritable)?;
    Ok(leaves.into_iter().collect())
}
