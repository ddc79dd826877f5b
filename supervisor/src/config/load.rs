//! The sources and their order: defaults < the original's YAML < TOML < environment < flags.

use super::error::ConfigError;
use super::keys::{self, KEYS};
use super::mapped_ids::MappedIds;
use super::model::Config;
use super::note::Note;
use super::original_yaml;
use super::settings::{Origin, Settings};
use super::variables::{self, TOML_VARIABLE, YAML_VARIABLE};
use super::yaml::{self, Node};
use nix::unistd::geteuid;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

/// A flag that sets a key.
#[derive(Debug, Clone)]
pub struct Flag {
    /// The flag as it is typed.
    pub name: &'static str,
    /// The name of its key, which is at the top level.
    pub key: &'static str,
    /// The text that was typed after it.
    pub text: String,
}

/// Everything that a configuration is read from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// The other flags.
    pub flags: Vec<Flag>,
    /// The process's environment.
    pub environment: BTreeMap<OsString, OsString>,
    /// The ids from which `sandbox.uid_base` is chosen if no source has it.
    pub ids: MappedIds,
}

/// A configuration, and where it came from.
#[derive(Debug)]
pub struct Loaded {
    /// Complete and checked.
    pub config: Config,
    /// Where each value came from.
    pub settings: Settings,
    /// Remarks on what does not count in the sources, for the log.
    pub notes: Vec<Note>,
}

impl Sources {
    /// The sources of this process.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, flags: Vec<Flag>) -> Self {
        Self {
            file,
            flags,
            environment: std::env::vars_os().collect(),
            ids: match geteuid().is_root() {
                true => MappedIds::of_process(),
                // Without root, nothing gives uids away.
                false => MappedIds::default(),
            },
        }
    }

    /// The sources that there are, for the log.
    #[must_use]
    pub fn told(&self) -> String {
        let mut told = vec!["defaults".to_owned()];
        let yaml = self.path(YAML_VARIABLE);
        let toml = self.file.clone().or_else(|| self.path(TOML_VARIABLE));
        told.extend(
            yaml.iter()
                .chain(&toml)
                .map(|path| path.display().to_string()),
        );
        let variables = KEYS.iter().filter_map(keys::Key::variable);
        let set = variables.filter(|name| self.environment.contains_key(OsStr::new(name)));
        told.extend(set);
        told.extend(self.flags.iter().map(|flag| flag.name.to_owned()));
        told.join(", ")
    }

    /// Reads all sources and checks their values.
    ///
    /// # Errors
    /// All mistakes, as far as the files can be read.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let mut settings = Settings::default();
        let mut notes = variables::unknown(&self.environment);
        if let Some(path) = self.path(YAML_VARIABLE) {
            match read_yaml(&path, &mut settings) {
                Ok(more) => notes.extend(more),
                Err(error) => settings.note(Err(error)),
            }
        }
        if let Some(path) = self.file.clone().or_else(|| self.path(TOML_VARIABLE)) {
            let read = read_toml(&path, &mut settings);
            settings.note(read);
            notes.extend(settings.take_replaced());
        }
        self.read_environment(&mut settings);
        self.read_flags(&mut settings);
        let mut config = settings.to_config()?;
        config.check(&settings)?;
        let is_set = settings.origin(&segments("sandbox.uid_base")) != &Origin::Default;
        // If there is none, a start as root fails and says so.
        if !is_set
            && let Some(base) = self.ids.base_for(&config)
            && base != config.sandbox.uid_base
        {
            let default = std::mem::replace(&mut config.sandbox.uid_base, base);
            let ids = &self.ids;
            notes.push(Note::Chosen(format!(
                "sandbox.uid_base = {base}: {default} is not among the ids of this user \
                 namespace, {ids}"
            )));
        }
        Ok(Loaded {
            config,
            settings,
            notes,
        })
    }

    /// The file that a variable names. An empty variable names none.
    fn path(&self, variable: &str) -> Option<PathBuf> {
        let value = self.environment.get(&OsString::from(variable))?;
        (!value.is_empty()).then(|| PathBuf::from(value))
    }

    /// Only names that belong to keys are looked at: beside a service named codejail, Kubernetes
    /// sets `CODEJAIL_PORT=tcp://...` and others.
    fn read_environment(&self, settings: &mut Settings) {
        for key in KEYS {
            let Some(variable) = key.variable() else {
                continue;
            };
            let Some(text) = self.environment.get(&OsString::from(&variable)) else {
                continue;
            };
            // Text that is not UTF-8 is refused by the key, or is not the name of a file.
            let value = key.kind.read(&text.to_string_lossy());
            let set = settings.set(&segments(key.name), value, Origin::Environment(variable));
            settings.note(set);
        }
    }

    fn read_flags(&self, settings: &mut Settings) {
        for flag in &self.flags {
            let path = segments(flag.key);
            if let Some((_, key)) = keys::find(&path) {
                let set = settings.set(&path, key.kind.read(&flag.text), Origin::Flag(flag.name));
                settings.note(set);
            }
        }
    }
}

fn segments(name: &str) -> Vec<String> {
    name.split('.').map(str::to_owned).collect()
}

fn read_file(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| ConfigError::Read(path.to_owned(), error))
}

const IS_YAML: &str = "this is YAML, the original's format: name this file in \
                       CODEJAIL_SERVICE_CFG, not in --config or CODEJAIL_CONFIG";
const IS_TOML: &str = "this is TOML: name this file in --config or CODEJAIL_CONFIG; \
                       CODEJAIL_SERVICE_CFG names the original's YAML";

fn read_yaml(path: &Path, settings: &mut Settings) -> Result<Vec<Note>, ConfigError> {
    let text = read_file(path)?;
    let is_mapping = matches!(yaml::load(&text).as_deref(), Ok(Node::Map(_) | Node::Null));
    if !is_mapping && text.parse::<Table>().is_ok_and(|table| !table.is_empty()) {
        return Err(ConfigError::OtherFormat(path.to_owned(), IS_TOML));
    }
    original_yaml::read(path, &text, settings)
}

/// Reads a configuration in TOML into `settings`, which keep what is wrong in it.
///
/// # Errors
/// It can't be read as TOML.
pub(super) fn read_toml(path: &Path, settings: &mut Settings) -> Result<(), ConfigError> {
    let text = read_file(path)?;
    let parsed =
        toml::from_str::<Table>(&text).and_then(|table| Ok((table, DeTable::parse(&text)?)));
    let (table, places) = match parsed {
        Ok(parsed) => parsed,
        Err(_) if is_settings_yaml(&text) => {
            return Err(ConfigError::OtherFormat(path.to_owned(), IS_YAML));
        }
        Err(error) => return Err(ConfigError::Toml(path.to_owned(), Box::new(error))),
    };
    let mut mistakes = Vec::new();
    let origin = Origin::Toml(Arc::from(path));
    take_table(table, &mut Vec::new(), &mut |path, value| {
        if let Err(mistake) = settings.set(path, value, origin.clone()) {
            mistakes.push((place(places.get_ref(), path), mistake));
        }
    });
    mistakes.sort_by_key(|(place, _)| *place);
    for (_, mistake) in mistakes {
        settings.note(Err(mistake));
    }
    Ok(())
}

/// A mapping of plain names: some broken TOML is YAML too, but not of this kind.
fn is_settings_yaml(text: &str) -> bool {
    let plain = |name: &str| {
        name.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    match yaml::load(text).as_deref() {
        Ok(Node::Map(entries)) => entries.iter().all(|(name, _)| plain(name)),
        _ => false,
    }
}

/// Calls `take` with the path of each key and its value.
fn take_table(table: Table, path: &mut Vec<String>, take: &mut impl FnMut(&[String], Value)) {
    for (name, value) in table {
        path.push(name);
        match value {
            Value::Table(inner) if keys::is_table(path) => take_table(inner, path, take),
            value => take(path, value),
        }
        path.pop();
    }
}

/// The place of a key in the file.
fn place(table: &DeTable<'_>, path: &[String]) -> usize {
    let Some((name, rest)) = path.split_first() else {
        return 0;
    };
    match table.get_key_value(name.as_str()) {
        Some((key, value)) => match value.get_ref() {
            DeValue::Table(inner) if !rest.is_empty() => place(inner, rest),
            _ => key.span().start,
        },
        None => 0,
    }
}
