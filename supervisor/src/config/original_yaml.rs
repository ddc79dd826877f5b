//! The original's settings file. Of its names only `CODEJAIL_ENABLED` and `CODE_JAIL` say something
//! here; the others are Django's and are passed over.

use super::error::ConfigError;
use super::note::Note;
use super::settings::{Origin, Settings};
use super::suggest;
use super::yaml::{self, Node};
use std::path::Path;
use std::sync::Arc;
use toml::Value;

/// Reads a file into `settings`, which keep what is wrong in it. Returns the keys that have no effect
/// here.
///
/// # Errors
/// It can't be read as YAML.
pub fn read(path: &Path, text: &str, settings: &mut Settings) -> Result<Vec<Note>, ConfigError> {
    let document =
        yaml::load(text).map_err(|error| ConfigError::Yaml(path.to_owned(), Box::new(error)))?;
    let mut file = File {
        path: Arc::from(path),
        settings,
        notes: Vec::new(),
    };
    let taken = file.take(&document);
    file.settings.note(taken);
    Ok(file.notes)
}

struct File<'a> {
    path: Arc<Path>,
    settings: &'a mut Settings,
    notes: Vec<Note>,
}

/// What the original's table can have.
const CODE_JAIL: &[&str] = &["python_bin", "user", "limits", "limit_overrides"];
/// What its limits can be.
const LIMITS: &[&str] = &["CPU", "REALTIME", "VMEM", "FSIZE", "NPROC", "PROXY"];

type Entries = [(String, std::rc::Rc<Node>)];

impl File<'_> {
    fn take(&mut self, document: &Node) -> Result<(), ConfigError> {
        let mut ignored = Vec::new();
        for (name, node) in self.mapping("the file", document)? {
            match name.as_str() {
                "CODEJAIL_ENABLED" => self.set(name, &["enabled"], node, None),
                "CODE_JAIL" => {
                    let taken = self.code_jail(node);
                    self.settings.note(taken);
                }
                _ => ignored.push(name.as_str()),
            }
        }
        if !ignored.is_empty() {
            self.ignore(&format!(
                "{} are ignored: they are Django's settings",
                ignored.join(", ")
            ));
        }
        Ok(())
    }

    fn code_jail(&mut self, node: &Node) -> Result<(), ConfigError> {
        let entries = self.mapping("CODE_JAIL", node)?;
        let global_proxy = global_proxy(entries);
        for (name, node) in entries {
            let place = format!("CODE_JAIL.{name}");
            match name.as_str() {
                // There, an empty one leaves Python unconfigured.
                "python_bin" if matches!(&**node, Node::Null) => {}
                "python_bin" if matches!(&**node, Node::Text(text) if text.is_empty()) => {}
                "python_bin" => self.set(&place, &["python", "bin"], node, None),
                "user" => self.ignore(
                    "CODE_JAIL.user has no effect: every sandbox has a uid of its own, from \
                     sandbox.uid_base on",
                ),
                "limits" => {
                    let taken = self.limits(&place, &["limits"], node, None);
                    self.settings.note(taken);
                }
                "limit_overrides" => {
                    let taken = self.limit_overrides(&place, node, global_proxy);
                    self.settings.note(taken);
                }
                _ => self.unknown("no such key; CODE_JAIL has", CODE_JAIL, &place, node),
            }
        }
        Ok(())
    }

    fn limit_overrides(
        &mut self,
        place: &str,
        node: &Node,
        global_proxy: &Node,
    ) -> Result<(), ConfigError> {
        for (context, overrides) in self.mapping(place, node)? {
            let place = format!("{place}.{context}");
            let table = ["limit_overrides", context.as_str()];
            let taken = self.limits(&place, &table, overrides, Some(global_proxy));
            self.settings.note(taken);
        }
        Ok(())
    }

    /// The limits of everybody, or of a context, which may not choose another PROXY than everybody's.
    fn limits(
        &mut self,
        place: &str,
        table: &[&str],
        node: &Node,
        global_proxy: Option<&Node>,
    ) -> Result<(), ConfigError> {
        for (name, node) in self.mapping(place, node)? {
            let place = format!("{place}.{name}");
            match (name.as_str(), global_proxy) {
                ("PROXY", None) => self.ignore(
                    "CODE_JAIL.limits.PROXY has no effect: there is \
                     no proxy process",
                ),
                ("PROXY", Some(global)) if **node == *global => {}
                ("PROXY", Some(_)) => self.notes.push(Note::Mistake(format!(
                    "{}: {place}: PROXY can't be overridden per context, and has no effect",
                    self.path.display()
                ))),
                // There, what is false sets no limit; of FSIZE, it breaks every execution.
                ("CPU" | "REALTIME" | "VMEM" | "NPROC", _) => {
                    self.set(&place, &[table, &[name]].concat(), node, Some(0));
                }
                ("FSIZE", _) => self.set(&place, &[table, &[name]].concat(), node, None),
                _ => self.unknown("no such limit; there are", LIMITS, &place, node),
            }
        }
        Ok(())
    }

    fn set(&mut self, place: &str, path: &[&str], node: &Node, null: Option<i64>) {
        let path: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
        let value = match (node, null) {
            (Node::Null, Some(number)) => Value::Integer(number),
            (Node::Boolean(value), _) => Value::Boolean(*value),
            (Node::Integer(value), _) => Value::Integer(*value),
            (Node::Float(value), _) => Value::Float(*value),
            (Node::Text(value), _) => Value::String(value.clone()),
            (Node::Null | Node::List(_) | Node::Map(_), _) => {
                let right = super::keys::find(&path).map(|(_, key)| key.kind.right());
                let right = format!("must be {}", right.unwrap_or_default());
                return self.settings.note(Err(self.refuse(place, node, &right)));
            }
        };
        let origin = Origin::Yaml(Arc::clone(&self.path), place.to_owned());
        let set = self.settings.set(&path, value, origin);
        self.settings.note(set);
    }

    /// A name of the original's tables that is none of `names`.
    fn unknown(&mut self, what: &str, names: &[&str], place: &str, node: &Node) {
        let name = place.rsplit('.').next().unwrap_or_default();
        let right = match suggest::nearest(name, names.iter().copied()) {
            Some(meant) => format!("{what} {}; did you mean {meant}?", names.join(", ")),
            None => format!("{what} {}", names.join(", ")),
        };
        let mistake = self.refuse(place, node, &right);
        self.settings.note(Err(mistake));
    }

    fn mapping<'n>(&self, place: &str, node: &'n Node) -> Result<&'n Entries, ConfigError> {
        match node {
            Node::Map(entries) => Ok(entries),
            Node::Null if place == "the file" => Ok(&[]),
            _ => Err(self.refuse(place, node, "must be a mapping")),
        }
    }

    fn refuse(&self, place: &str, node: &Node, right: &str) -> ConfigError {
        ConfigError::Value {
            said: format!("{}: {place} = {node}", self.path.display()),
            right: right.to_owned(),
        }
    }

    fn ignore(&mut self, what: &str) {
        let note = format!("{}: {what}", self.path.display());
        self.notes.push(Note::Ignored(note));
    }
}

/// What `limits` says of PROXY; nothing is `null` there.
fn global_proxy(code_jail: &Entries) -> &Node {
    fn get<'n>(entries: &'n Entries, name: &str) -> Option<&'n Node> {
        let mut entries = entries.iter();
        entries
            .find(|(key, _)| key == name)
            .map(|(_, node)| &**node)
    }
    match get(code_jail, "limits") {
        Some(Node::Map(limits)) => get(limits, "PROXY").unwrap_or(&Node::Null),
        _ => &Node::Null,
    }
}
