//! The original's settings as a configuration in TOML, with an account of each of their keys.
//! Settings in Python are executed by `commands/import_settings`.

use super::error::ConfigError;
use super::load;
use super::original_yaml::{self, Account, Fate};
use super::print;
use super::settings::{Settings, dotted};
use super::yaml::{self, Node};
use serde_json::Value;
use std::path::Path;
use std::rc::Rc;

/// For a name that codejail does not have: why it concerns only the software of the original.
/// `None` if it does not.
pub type WhyForeign = fn(&str) -> Option<&'static str>;

/// The result of an import.
#[derive(Debug)]
pub struct Imported {
    /// The keys that were taken, as a configuration.
    pub toml: String,
    /// A line for each key of the file. Keys with the same result share a line.
    pub lines: Vec<Line>,
}

/// What became of one or several keys.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// In one word.
    pub kind: Kind,
    /// The keys, and more about them.
    pub text: String,
}

/// What can become of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Its value is in the TOML.
    Taken,
    /// It changes nothing here.
    NoEffect,
    /// Its meaning is not known: a wrong value, or an unknown name.
    NotUnderstood,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Taken => "taken",
            Self::NoEffect => "no effect here",
            Self::NotUnderstood => "not understood",
        })
    }
}

impl Imported {
    /// Whether each key was taken, or is known to change nothing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let mut lines = self.lines.iter();
        lines.all(|line| line.kind != Kind::NotUnderstood)
    }
}

/// The settings of a file.
#[derive(Debug)]
pub struct Document(Rc<Node>);

impl Document {
    /// Settings in YAML.
    ///
    /// # Errors
    /// It is not YAML.
    pub fn of_yaml(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let document = yaml::load(text);
        let document =
            document.map_err(|error| ConfigError::Yaml(path.to_owned(), Box::new(error)))?;
        Ok(Self(document))
    }

    /// Settings that were read in another way.
    #[must_use]
    pub fn of_json(settings: &Value) -> Self {
        Self(Rc::new(node(settings)))
    }
}

/// Imports the settings of the file with this path. They go over a configuration in TOML, if one is
/// named.
///
/// # Errors
/// That configuration is not right.
pub fn import(
    path: &Path,
    document: &Document,
    over: Option<&Path>,
    why_foreign: WhyForeign,
) -> Result<Imported, ConfigError> {
    let mut settings = Settings::default();
    if let Some(base) = over {
        load::read_toml(base, &mut settings)?;
        settings.to_config()?;
    }
    let accounts = original_yaml::account(path, &document.0, &mut settings);
    let lines = accounts.into_iter();
    let lines = lines.map(|account| line(account, &settings, why_foreign));
    let mut lines: Vec<Line> = lines.collect();
    lines.sort_by_key(|line| line.kind);
    Ok(Imported {
        toml: print::said(&settings),
        lines,
    })
}

fn line(account: Account, settings: &Settings, why_foreign: WhyForeign) -> Line {
    let Account { place, fate } = account;
    let (kind, text) = match fate {
        Fate::Taken(path) => {
            let mut values = settings.values();
            let said = values.find(|(key, _)| *key == path);
            let value = said.map_or_else(String::new, |(_, value)| value.to_string());
            let text = format!("{place}: {} = {value}", dotted(&path));
            (Kind::Taken, text)
        }
        Fate::NoEffect(why) | Fate::Empty(why) | Fate::Mistake(why) => {
            (Kind::NoEffect, format!("{place}: {why}"))
        }
        Fate::Refused(error) => (Kind::NotUnderstood, error.to_string()),
        Fate::Foreign => match why_foreign(&place) {
            Some(why) => (Kind::NoEffect, format!("{place}: {why}")),
            None => (
                Kind::NotUnderstood,
                format!("{place}: neither codejail nor the original's settings have this name"),
            ),
        },
    };
    Line { kind, text }
}

/// The value as YAML would give it. A number that is neither an i64 nor an f64 becomes text, which
/// no key for a number allows.
fn node(value: &Value) -> Node {
    match value {
        Value::Null => Node::Null,
        Value::Bool(value) => Node::Boolean(*value),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Node::Integer(whole),
            (None, Some(float)) if number.is_f64() => Node::Float(float),
            _ => Node::Text(number.to_string()),
        },
        Value::String(text) => Node::Text(text.clone()),
        Value::Array(values) => Node::List(values.iter().map(|item| Rc::new(node(item))).collect()),
        Value::Object(entries) => Node::Map(
            entries
                .iter()
                .map(|(key, item)| (key.clone(), Rc::new(node(item))))
                .collect(),
        ),
    }
}
