//! Fields of an event that write themselves all together. tracing passes each field to a visitor by
//! itself, which costs more than the writing: the two dozen fields of an execution took 7,700
//! instructions that way.

use super::format::{Form, Json, Name, Text};
use std::fmt;
use std::time::Duration;

/// Bytes that are reserved for the fields of a line. Nearly all lines have fewer.
const BYTES: usize = 1024;

/// A value with such fields.
pub trait HasFields {
    /// Writes all fields, each with its name.
    fn write(&self, fields: &mut Fields<impl Form>);
}

/// The value of the field `at_once` of an event: `at_once = ?AtOnce(&value)`. `{:?}` writes it as
/// text, `{:#?}` as JSON.
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

/// Takes fields: each has a name from the code, and a value. A field without a value is left out.
/// The functions are inlined, so that the compiler knows the lengths of the names that are copied.
/// That saves some 300 instructions a line.
pub struct Fields<F>(F);

impl<F: Form> Fields<F> {
    /// A text with any content.
    #[inline(always)]
    pub fn text<'a>(&mut self, name: Name, value: impl Into<Option<&'a str>>) {
        if let Some(value) = value.into() {
            self.0.known(name);
            self.0.text(value);
        }
    }

    /// A word from the code. It needs no escapes.
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

    /// A field that is only written if it is true.
    #[inline(always)]
    pub fn if_true(&mut self, name: Name, value: bool) {
        if value {
            self.0.known(name);
            self.0.plain().push_str("true");
        }
    }
}
