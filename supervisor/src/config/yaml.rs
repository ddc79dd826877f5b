//! Reads a YAML file as PyYAML's `safe_load` does, with which the original reads its own. That is
//! YAML 1.1, where `yes` is true and `1_000` a number. The last of two equal keys counts.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};
use std::collections::HashMap;
use std::rc::Rc;

/// Settings are never nested deeper than this.
const DEPTH_MAX: usize = 64;

/// A value. An alias shares the value that its anchor names, so a small file can't become large.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// `null`, `~` or no text.
    Null,
    /// A truth value.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// Any other scalar.
    Text(String),
    /// A sequence.
    List(Vec<Rc<Node>>),
    /// A mapping. Keys that are not text are kept as they are written.
    Map(Vec<(String, Rc<Node>)>),
}

/// Why a file can't be read.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// It is not YAML.
    #[error("{0}")]
    Syntax(#[from] ScanError),
    /// It is YAML, but makes no settings.
    #[error("{0}")]
    Shape(&'static str),
}

/// Reads the only document of a file. A file without a document is `Null`.
pub fn load(text: &str) -> Result<Rc<Node>, YamlError> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
    };
    let mut document = None;
    loop {
        match reader.next()? {
            Event::StreamStart | Event::Nothing | Event::DocumentEnd => {}
            Event::StreamEnd => return Ok(document.unwrap_or_else(|| Rc::new(Node::Null))),
            Event::DocumentStart(_) if document.is_some() => {
                return Err(YamlError::Shape("it holds more than one document"));
            }
            Event::DocumentStart(_) => {
                let first = reader.next()?;
                document = Some(reader.node(first, 0)?);
            }
            _ => return Err(YamlError::Shape("expected a document")),
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, Rc<Node>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Event<'a>, YamlError> {
        match self.parser.next() {
            Some(next) => Ok(next?.0),
            None => Ok(Event::StreamEnd),
        }
    }

    fn node(&mut self, event: Event<'a>, depth: usize) -> Result<Rc<Node>, YamlError> {
        if depth > DEPTH_MAX {
            return Err(YamlError::Shape("it is nested too deep"));
        }
        let (anchor, node) = match event {
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                return node.ok_or(YamlError::Shape(
                    "an alias refers to a node that contains it",
                ));
            }
            Event::Scalar(text, ScalarStyle::Plain, anchor, None) => (anchor, resolve(&text)),
            Event::Scalar(text, _, anchor, _) => (anchor, Node::Text(text.into_owned())),
            Event::SequenceStart(anchor, _) => (anchor, self.list(depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.map(depth)?),
            _ => return Err(YamlError::Shape("expected a value")),
        };
        let node = Rc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Node, YamlError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok(Node::List(items)),
                event => items.push(self.node(event, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Node, YamlError> {
        let mut own = Vec::new();
        let mut merged = Vec::new();
        loop {
            let key = match self.next()? {
                Event::MappingEnd => break,
                Event::Scalar(key, ..) => key.into_owned(),
                _ => return Err(YamlError::Shape("a key must be text")),
            };
            let event = self.next()?;
            let value = self.node(event, depth + 1)?;
            if key == "<<" {
                merge(&value, &mut merged)?;
            } else {
                own.retain(|(name, _)| *name != key);
                own.push((key, value));
            }
        }
        merged.retain(|(name, _)| !own.iter().any(|(key, _)| key == name));
        own.extend(merged);
        Ok(Node::Map(own))
    }
}

/// The entries that the key `<<` brings. If several mappings have a key, the first counts.
fn merge(value: &Node, merged: &mut Vec<(String, Rc<Node>)>) -> Result<(), YamlError> {
    match value {
        Node::Map(entries) => {
            for (key, value) in entries {
                if !merged.iter().any(|(name, _)| name == key) {
                    merged.push((key.clone(), Rc::clone(value)));
                }
            }
            Ok(())
        }
        Node::List(values) => values.iter().try_for_each(|value| merge(value, merged)),
        _ => Err(YamlError::Shape("<< takes a mapping, or a list of them")),
    }
}

/// The value of a plain scalar by YAML 1.1, without numbers of base 60.
fn resolve(text: &str) -> Node {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Node::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Node::Boolean(true);
        }
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Node::Boolean(false);
        }
        _ => {}
    }
    let digits = text.replace('_', "");
    if text.starts_with('_') {
        return Node::Text(text.to_owned());
    }
    if let Some(number) = integer(&digits) {
        return Node::Integer(number);
    }
    // A float needs its point: `1e3` is text in YAML 1.1.
    let numeric = digits
        .bytes()
        .all(|byte| b"+-.eE0123456789".contains(&byte));
    match digits.parse() {
        Ok(number) if numeric && digits.contains('.') => Node::Float(number),
        _ => Node::Text(text.to_owned()),
    }
}

fn integer(digits: &str) -> Option<i64> {
    let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    let (radix, body) = match unsigned.as_bytes() {
        [b'0', b'x', ..] => (16, &unsigned[2..]),
        [b'0', b'b', ..] => (2, &unsigned[2..]),
        [b'0', _, ..] => (8, &unsigned[1..]),
        _ => (10, unsigned),
    };
    if body.starts_with(['+', '-']) {
        return None;
    }
    let number = i64::from_str_radix(body, radix).ok()?;
    Some(if digits.starts_with('-') {
        -number
    } else {
        number
    })
}

impl std::fmt::Display for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => write!(f, "null"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::List(_) => write!(f, "a list"),
            Self::Map(_) => write!(f, "a mapping"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Node {
        match &*load(&format!("key: {text}")).unwrap() {
            Node::Map(entries) => (*entries[0].1).clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn scalars_are_what_pyyaml_makes_of_them() {
        for (text, node) in [
            ("yes", Node::Boolean(true)),
            ("Off", Node::Boolean(false)),
            ("'yes'", Node::Text("yes".to_owned())),
            ("", Node::Null),
            ("~", Node::Null),
            ("None", Node::Text("None".to_owned())),
            ("1_000_000", Node::Integer(1_000_000)),
            ("-7", Node::Integer(-7)),
            ("010", Node::Integer(8)),
            ("0x10", Node::Integer(16)),
            ("0", Node::Integer(0)),
            ("1.5", Node::Float(1.5)),
            ("1e3", Node::Text("1e3".to_owned())),
            ("'1'", Node::Text("1".to_owned())),
            ("--1", Node::Text("--1".to_owned())),
        ] {
            assert_eq!(value(text), node, "{text}");
        }
    }

    #[test]
    fn anchors_and_merged_mappings_work() {
        let text = "base: &base {CPU: 1, NPROC: 2}\nother:\n  <<: *base\n  CPU: 3\n";
        let Node::Map(entries) = &*load(text).unwrap() else {
            panic!()
        };
        let expected = [("CPU", 3), ("NPROC", 2)]
            .map(|(key, number)| (key.to_owned(), Rc::new(Node::Integer(number))));
        assert_eq!(*entries[1].1, Node::Map(expected.to_vec()));
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        let expected = Node::Map(vec![("a".to_owned(), Rc::new(Node::Integer(2)))]);
        assert_eq!(*load("a: 1\na: 2").unwrap(), expected);
    }

    #[test]
    fn what_is_no_settings_file_is_an_error() {
        assert_eq!(*load("").unwrap(), Node::Null);
        assert!(load("a: [").is_err());
        assert!(load("a: 1\n---\nb: 2").is_err());
        assert!(load(&"[".repeat(1000)).is_err());
        assert!(load("a: &a [*a]").is_err());
    }
}
