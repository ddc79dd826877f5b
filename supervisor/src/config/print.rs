//! `--print-config`: the effective configuration as TOML that makes the same configuration again.

use super::keys;
use super::model::Config;
use super::settings::{Origin, Settings, dotted};
use std::fmt::Write;
use toml::{Table, Value};

/// All keys with their values. A comment names the source of each value that is not the default.
///
/// # Errors
/// A value that TOML can't write. No key allows such values.
pub fn to_toml(config: &Config, settings: &Settings) -> Result<String, toml::ser::Error> {
    Ok(written(leaves(config)?, settings))
}

/// The keys that a source has set, in the same way.
#[must_use]
pub fn said(settings: &Settings) -> String {
    let values = settings.values();
    let values = values.map(|(path, value)| (path.to_vec(), value.clone()));
    written(values.collect(), settings)
}

fn written(mut leaves: Vec<(Vec<String>, Value)>, settings: &Settings) -> String {
    // The keys of a table stay together, and tables come in the order of their first keys.
    leaves.sort_by_cached_key(|(path, _)| {
        let table = &path[..path.len() - 1];
        let first = keys::first_in(table);
        let index = keys::find(path).map(|(index, _)| index);
        (first, table.to_vec(), index, path.clone())
    });
    let mut text = String::new();
    let mut table: &[String] = &[];
    for (path, value) in &leaves {
        let (name, parent) = (&path[path.len() - 1..], &path[..path.len() - 1]);
        if parent != table {
            let _ = writeln!(text, "\n[{}]", dotted(parent));
            table = parent;
        }
        let _ = write!(text, "{} = {value}", dotted(name));
        match settings.origin(path) {
            Origin::Default => text.push('\n'),
            origin => {
                let _ = writeln!(text, "  # {}", one_line(&origin.to_string()));
            }
        }
    }
    text
}

/// The values of all keys, with their paths.
pub fn leaves(config: &Config) -> Result<Vec<(Vec<String>, Value)>, toml::ser::Error> {
    fn collect(table: Table, path: &mut Vec<String>, leaves: &mut Vec<(Vec<String>, Value)>) {
        for (name, value) in table {
            path.push(name);
            match value {
                Value::Table(inner) => collect(inner, path, leaves),
                value => leaves.push((path.clone(), value)),
            }
            path.pop();
        }
    }
    let mut leaves = Vec::new();
    collect(Table::try_from(config)?, &mut Vec::new(), &mut leaves);
    Ok(leaves)
}

/// The name of a file can contain a character that would end a comment.
fn one_line(text: &str) -> String {
    text.replace(|character: char| character.is_control(), "?")
}
