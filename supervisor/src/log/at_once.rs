//! Fields of an event that write themselves at once. tracing shows a visitor each field by itself,
//! which costs more than to write it: an execution's two dozen took 7,700 instructions that way.

use super::format::{Form, Json, Name, Text};
use std::fmt;
use std::time::Duration;

/// Bytes of a line's fields: nearly all lines have less.
const BYTES: usize = 1024;

/// What has such fields.
pub trait HasFields {
    /// Writes them, each by its name.
    fn write(&self, fields: &mut Fields<impl Form>);
}

/// The value of the field `at_once` of an event: `at_once = ?AtOnce(&value)`. It is written as
/// text, and by `{:#?}` as JSON.
pub struct AtOnce<'a, T>(pub &'a T);

impl<T: HasFields> fmt::Debug for AtOnce<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = String::with_capacity(BYTES);
        if formatter.alternate() {
            self.0.write(&mut Fields(Json(&mut line)));
        } else {
            self.0.write(&mut Fields(Text(&mut line)));
        }
        formatter.write_str(&line)
    }
}

/// Takes fields, each a name of the code's own and a value. A field without a value is left out.
/// Inlined, so that the lengths of names are known where they are copied: some 300 instructions a
/// line.
pub struct Fields<F>(F);

impl<F: Form> Fields<F> {
    /// A text, whatever it holds.
    #[inline(always)]
    pub fn text<'a>(&mut self, name: Name, value: impl Into<Option<&'a str>>) {
        if let Some(value) = value.into() {
            self.0.known(name);
            self.0.text(value);
        }
    }

    /// A word of the code's own: it has nothing to escape.
    #[inline(always)]
    pub fn word(&mut self, name: Name, value: impl Into<Option<&'static str>>) {
        if let Some(value) = value.into() {
            self.0.known(name);
            let line = self.0.plain();
            line.push('"');
            line.push_str(value);
            line.push('"');
        }
    }

    /// A whole number.
    #[inline(always)]
    pub fn number(&mut self, name: Name, value: impl Into<Option<u64>>) {
        if let Some(value) = value.into() {
            self.0.known(name);
            self.0.number(value);
        }
    }

    /// A whole number that may be negative.
    #[inline(always)]
    pub fn signed(&mut self, name: Name, value: Option<i32>) {
        if let Some(value) = value {
            self.0.known(name);
            let mut digits = itoa::Buffer::new();
            self.0.plain().push_str(digits.format(value));
        }
    }

    /// A duration, in seconds.
    #[inline(always)]
    pub fn seconds(&mut self, name: Name, value: impl Into<Option<Duration>>) {
        if let Some(value) = value.into() {
            self.0.known(name);
            self.0.seconds(value);
        }
    }

    /// What is only said where it is true.
    #[inline(always)]
    pub fn if_true(&mut self, name: Name, value: bool) {
        if value {
            self.0.known(name);
            self.0.plain().push_str("true");
        }
    }
}
