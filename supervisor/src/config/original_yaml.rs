//! The original's settings. Of its names only `CODEJAIL_ENABLED` and `CODE_JAIL` have a meaning
//! here. The others are Django's and are left out.

use super::error::ConfigError;
use super::note::Note;
use super::settings::{Origin, Settings};
use super::suggest;
use super::yaml::{self, Node};
use std::path::Path;
use std::sync::Arc;
use toml::Value;

/// One key of a file, and what has become of it.
#[derive(Debug)]
pub struct Account {
    /// The key as the file writes it, such as `CODE_JAIL.limits.CPU`.
    pub place: String,
    /// What has become of it.
    pub fate: Fate,
}

/// What can become of a key.
#[derive(Debug)]
pub enum Fate {
    /// It became the value of the key with this path.
    Taken(Vec<String>),
    /// It has no effect here, for this reason.
    NoEffect(&'static str),
    /// It has no effect in the original either, for this reason.
    Empty(&'static str),
    /// It has no effect in the original either, for this reason, but somebody meant something by
    /// it.
    Mistake(&'static str),
    /// It is refused: why, and what would be right.
    Refused(ConfigError),
    /// A name that codejail does not have.
    Foreign,
}

/// Reads a file into `settings`, which keep the mistakes. Returns the keys that have no effect
/// here.
///
/// # Errors
/// The file is not YAML.
pub fn read(path: &Path, text: &str, settings: &mut Settings) -> Result<Vec<Note>, ConfigError> {
    let document =
        yaml::load(text).map_err(|error| ConfigError::Yaml(path.to_owned(), Box::new(error)))?;
    let (mut notes, mut foreign) = (Vec::new(), Vec::new());
    let said = |what: String| format!("{}: {what}", path.display());
    for Account { place, fate } in account(path, &document, settings) {
        match fate {
            Fate::Taken(_) | Fate::Empty(_) => {}
            Fate::NoEffect(why) => {
                notes.push(Note::Ignored(said(format!("{place} has no effect: {why}"))));
            }
            Fate::Mistake(why) => notes.push(Note::Mistake(said(format!("{place}: {why}")))),
            Fate::Refused(error) => settings.note(Err(error)),
            Fate::Foreign => foreign.push(place),
        }
    }
    if !foreign.is_empty() {
        notes.push(Note::Ignored(said(format!(
            "{} are ignored: they are Django's settings",
            foreign.join(", ")
        ))));
    }
    Ok(notes)
}

/// Reads a document into `settings`. Returns what has become of each of its keys.
pub fn account(path: &Path, document: &Node, settings: &mut Settings) -> Vec<Account> {
    let mut file = File {
        path: Arc::from(path),
        settings,
        accounts: Vec::new(),
    };
    file.take(document);
    file.accounts
}

struct File<'a> {
    path: Arc<Path>,
    settings: &'a mut Settings,
    accounts: Vec<Account>,
}

/// The keys that the original's table can have.
const CODE_JAIL: &[&str] = &["python_bin", "user", "limits", "limit_overrides"];
/// The limits of the original.
const LIMITS: &[&str] = &["CPU", "REALTIME", "VMEM", "FSIZE", "NPROC", "PROXY"];

type Entries = [(String, std::rc::Rc<Node>)];

impl File<'_> {
    fn take(&mut self, document: &Node) {
        for (name, node) in self.mapping("the file", document) {
            match name.as_str() {
                "CODEJAIL_ENABLED" => self.set(name, &["enabled"], node, None),
                "CODE_JAIL" => self.code_jail(node),
                _ => self.end(name, Fate::Foreign),
            }
        }
    }

    fn code_jail(&mut self, node: &Node) {
        let entries = self.mapping("CODE_JAIL", node);
        let global_proxy = global_proxy(entries);
        for (name, node) in entries {
            let place = format!("CODE_JAIL.{name}");
            match name.as_str() {
                "python_bin" if is_nothing(node) => self.end(
                    &place,
                    Fate::Empty("it names no interpreter, and the default is used"),
                ),
                "python_bin" => self.set(&place, &["python", "bin"], node, None),
                "user" => self.end(
                    &place,
                    Fate::NoEffect("every sandbox has a uid of its own, from sandbox.uid_base on"),
                ),
                "limits" => self.limits(&place, &["limits"], node, None),
                "limit_overrides" => self.limit_overrides(&place, node, global_proxy),
                _ => self.unknown("no such key; CODE_JAIL has", CODE_JAIL, &place, node),
            }
        }
    }

    fn limit_overrides(&mut self, place: &str, node: &Node, global_proxy: &Node) {
        for (context, overrides) in self.mapping(place, node) {
            let place = format!("{place}.{context}");
            let table = ["limit_overrides", context.as_str()];
            self.limits(&place, &table, overrides, Some(global_proxy));
        }
    }

    /// The limits of all contexts, or those of one context. A context may not have another PROXY.
    fn limits(&mut self, place: &str, table: &[&str], node: &Node, global_proxy: Option<&Node>) {
        for (name, node) in self.mapping(place, node) {
            let place = format!("{place}.{name}");
            match (name.as_str(), global_proxy) {
                ("PROXY", Some(global)) if **node != *global => self.end(
                    &place,
                    Fate::Mistake("PROXY can't be overridden per context, and has no effect"),
                ),
                ("PROXY", None) => self.end(&place, Fate::NoEffect("there is no proxy process")),
                ("PROXY", Some(_)) => self.end(&place, Fate::Empty("it is everybody's")),
                // In the original, a false value sets no limit. As FSIZE, it breaks every
                // execution.
                ("CPU" | "REALTIME" | "VMEM" | "NPROC", _) => {
                    self.set(&place, &[table, &[name]].concat(), node, Some(0));
                }
                ("FSIZE", _) => self.set(&place, &[table, &[name]].concat(), node, None),
                _ => self.unknown("no such limit; there are", LIMITS, &place, node),
            }
        }
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
                return self.refuse(place, node, &right);
            }
        };
        let origin = Origin::Yaml(Arc::clone(&self.path), place.to_owned());
        let fate = match self.settings.set(&path, value, origin) {
            Ok(()) => Fate::Taken(path),
            Err(error) => Fate::Refused(error),
        };
        self.end(place, fate);
    }

    /// Reports a name of the original's tables that is not one of `names`.
    fn unknown(&mut self, what: &str, names: &[&str], place: &str, node: &Node) {
        let name = place.rsplit('.').next().unwrap_or_default();
        let right = match suggest::nearest(name, names.iter().copied()) {
            Some(meant) => format!("{what} {}; did you mean {meant}?", names.join(", ")),
            None => format!("{what} {}", names.join(", ")),
        };
        self.refuse(place, node, &right);
    }

    /// The entries of a mapping. Any other value is refused, and has no entries.
    fn mapping<'n>(&mut self, place: &str, node: &'n Node) -> &'n Entries {
        match node {
            Node::Map(entries) => return entries,
            Node::Null if place == "the file" => {}
            _ => self.refuse(place, node, "must be a mapping"),
        }
        &[]
    }

    fn refuse(&mut self, place: &str, node: &Node, right: &str) {
        let said = format!("{}: {place} = {node}", self.path.display());
        let right = right.to_owned();
        self.end(place, Fate::Refused(ConfigError::Value { said, right }));
    }

    fn end(&mut self, place: &str, fate: Fate) {
        let place = place.to_owned();
        self.accounts.push(Account { place, fate });
    }
}

/// In the original, an empty table leaves Python unconfigured.
fn is_nothing(node: &Node) -> bool {
    matches!(node, Node::Null) || matches!(node, Node::Text(text) if text.is_empty())
}

/// PROXY in `limits`. In the original, none is the same as `null`.
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
