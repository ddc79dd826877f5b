//! A value that has passed the scan, as a slice of its text, and the parts of the value.
//!
//! Only a scan makes a [`Raw`]. So this file trusts the text: it reports no errors and decodes
//! nothing. To step over a part means to read it once. A caller that descends level by level reads
//! the text once for each level.

use super::string::CodePoints;
use super::token::{plain_end, skip_space};

/// One valid JSON value, without the space around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a> {
    text: &'a str,
}

/// What a value is in Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonType {
    /// A `dict`.
    Object,
    /// A `list`.
    Array,
    /// A `str`.
    String,
    /// An `int`, of any size.
    Integer,
    /// A `float`; `NaN` and the infinities are floats.
    Float,
    /// `True`.
    True,
    /// `False`.
    False,
    /// `None`.
    Null,
}

impl<'a> Raw<'a> {
    pub(super) fn of_scanned(text: &'a str) -> Self {
        Self { text }
    }

    /// The value's own text.
    pub fn as_str(self) -> &'a str {
        self.text
    }

    /// The type of the value. Reads only the first byte, but all of a number.
    pub fn kind(self) -> JsonType {
        match self.text.as_bytes() {
            [b'{', ..] => JsonType::Object,
            [b'[', ..] => JsonType::Array,
            [b'"', ..] => JsonType::String,
            [b't', ..] => JsonType::True,
            [b'f', ..] => JsonType::False,
            [b'n', ..] => JsonType::Null,
            number
                if number
                    .iter()
                    .any(|byte| matches!(byte, b'.' | b'e' | b'E' | b'N' | b'I')) =>
            {
                JsonType::Float
            }
            _ => JsonType::Integer,
        }
    }

    /// The value as a string, if it is one.
    pub fn as_string(self) -> Option<RawString<'a>> {
        (self.kind() == JsonType::String).then_some(RawString { text: self.text })
    }

    /// The members of an object in the order of the text, nothing for other kinds. A key may come
    /// more than once; in Python the last one's value counts.
    pub fn members(self) -> Members<'a> {
        Members {
            remainder: Remainder::inside(self, JsonType::Object),
        }
    }

    /// The elements of an array, nothing for other kinds.
    pub fn elements(self) -> Elements<'a> {
        Elements {
            remainder: Remainder::inside(self, JsonType::Array),
        }
    }
}

/// A value that is a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawString<'a> {
    text: &'a str,
}

impl<'a> RawString<'a> {
    /// The string's JSON text, quotes and escapes as they came.
    pub fn as_str(self) -> &'a str {
        self.text
    }

    /// The code points of the Python `str` it stands for.
    pub fn code_points(self) -> CodePoints<'a> {
        CodePoints::new(self.between_quotes())
    }

    pub(crate) fn between_quotes(self) -> &'a str {
        &self.text[1..self.text.len() - 1]
    }
}

/// Iterates over an object's keys and values.
#[derive(Debug, Clone)]
pub struct Members<'a> {
    remainder: Remainder<'a>,
}

impl<'a> Iterator for Members<'a> {
    type Item = (RawString<'a>, Raw<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.remainder.take_item()?;
        self.remainder.step_over(b':');
        let value = self.remainder.take_item()?;
        self.remainder.step_over(b',');
        Some((RawString { text: key.text }, value))
    }
}

/// Iterates over an array's elements.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    remainder: Remainder<'a>,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Raw<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let element = self.remainder.take_item()?;
        self.remainder.step_over(b',');
        Some(element)
    }
}

/// What is left between a container's brackets.
#[derive(Debug, Clone)]
struct Remainder<'a> {
    text: &'a str,
}

impl<'a> Remainder<'a> {
    /// Nothing, if the value is of another kind.
    fn inside(value: Raw<'a>, container: JsonType) -> Self {
        let is_container = value.kind() == container;
        Self {
            text: if is_container {
                &value.text[1..value.text.len() - 1]
            } else {
                ""
            },
        }
    }

    fn take_item(&mut self) -> Option<Raw<'a>> {
        let bytes = self.text.as_bytes();
        let start = skip_space(bytes, 0);
        let end = start + item_len(&bytes[start..]);
        let item = &self.text[start..end];
        self.text = &self.text[end..];
        (!item.is_empty()).then_some(Raw { text: item })
    }

    fn step_over(&mut self, separator: u8) {
        let at = skip_space(self.text.as_bytes(), 0);
        if self.text.as_bytes().get(at) == Some(&separator) {
            self.text = &self.text[at + 1..];
        }
    }
}

/// The length of the value at the beginning of `bytes`. Brackets are only counted: the scan has
/// made sure that they match.
fn item_len(bytes: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_len(bytes, at),
            b'{' | b'[' => (depth, at) = (depth + 1, at + 1),
            b'}' | b']' => (depth, at) = (depth - 1, at + 1),
            _ if depth == 0 => return at + atom_len(&bytes[at..]),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The place after the closing quote of the string whose opening quote is at `quote`.
fn string_len(bytes: &[u8], quote: usize) -> usize {
    let mut at = plain_end(bytes, quote + 1);
    while bytes.get(at) == Some(&b'\\') {
        at = plain_end(bytes, at + 2);
    }
    at + 1
}

/// The length of a number or name.
fn atom_len(bytes: &[u8]) -> usize {
    let ends = |byte: &u8| {
        matches!(
            byte,
            b',' | b':' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r'
        )
    };
    bytes.iter().position(ends).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::super::scan;
    use super::*;

    #[test]
    fn every_kind_is_told_apart() {
        for (text, kind) in [
            ("{}", JsonType::Object),
            ("[]", JsonType::Array),
            ("\"e.N\"", JsonType::String),
            ("-12", JsonType::Integer),
            ("1E5", JsonType::Float),
            ("-0.0", JsonType::Float),
            ("NaN", JsonType::Float),
            ("-Infinity", JsonType::Float),
            ("true", JsonType::True),
            ("false", JsonType::False),
            ("null", JsonType::Null),
        ] {
            assert_eq!(scan(text).unwrap().kind(), kind, "{text}");
        }
    }

    #[test]
    fn members_are_found_whatever_their_text_holds() {
        let text = r#"{ "a" :1 , "b\"}":[{"x":"]\\"},-2] ,"":{} , "c": NaN	}"#;
        let found: Vec<_> = scan(text)
            .unwrap()
            .members()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("\"a\"", "1"),
                (r#""b\"}""#, r#"[{"x":"]\\"},-2]"#),
                ("\"\"", "{}"),
                ("\"c\"", "NaN")
            ]
        );
    }

    #[test]
    fn elements_are_found_whatever_their_text_holds() {
        let text = "[1,\"\\\\\", [ ] ,\n{\"a\":[2]},true ]";
        let found: Vec<_> = scan(text).unwrap().elements().map(Raw::as_str).collect();
        assert_eq!(found, ["1", "\"\\\\\"", "[ ]", "{\"a\":[2]}", "true"]);
    }

    #[test]
    fn values_of_other_kinds_have_no_parts() {
        for text in ["\"{\\\"a\\\":1}\"", "1", "null", "{ }", "[\n]"] {
            let value = scan(text).unwrap();
            assert_eq!(
                (value.members().count(), value.elements().count()),
                (0, 0),
                "{text}"
            );
        }
        assert_eq!(scan("[1]").unwrap().members().count(), 0);
        assert_eq!(scan("{\"a\":1}").unwrap().elements().count(), 0);
    }
}
