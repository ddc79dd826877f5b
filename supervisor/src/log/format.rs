//! How an event becomes a line: as text or as JSON. Whatever the values contain, an event is always
//! one line, and a value in JSON is one value.
//!
//! An execution's line has two dozen fields, and its whole request takes the supervisor only some
//! 200,000 instructions. So text and numbers are copied into one buffer, and only other values are
//! formatted.

use std::fmt::{self, Write};
use std::time::Duration;
use tracing::Event;
use tracing::field::{Field, Visit};

/// The field in which tracing keeps the sentence of an event.
const MESSAGE: &str = "message";

/// The field whose value writes several fields (`at_once.rs`). Its own name is not in the line.
const AT_ONCE: &str = "at_once";

/// Writes an event as a line for people: a sentence, then fields. `time` is the time of the event.
pub fn text(line: &mut String, time: &str, event: &Event<'_>) {
    let metadata = event.metadata();
    line.push_str(time);
    line.push(' ');
    let level = metadata.level().as_str();
    line.push_str(&"     "[level.len().min(5)..]);
    line.push_str(level);
    line.push(' ');
    line.push_str(metadata.target());
    line.push(':');
    event.record(&mut Fields {
        line: Text(&mut *line),
    });
    line.push('\n');
}

/// Writes an event as one JSON object.
pub fn json(line: &mut String, time: &str, event: &Event<'_>) {
    let metadata = event.metadata();
    line.push_str("{\"timestamp\":\"");
    line.push_str(time);
    line.push_str("\",\"level\":\"");
    line.push_str(metadata.level().as_str());
    line.push_str("\",\"target\":\"");
    line.push_str(metadata.target());
    line.push('"');
    event.record(&mut Fields {
        line: Json(&mut *line),
    });
    line.push_str("}\n");
}

/// The differences between the two forms, and the values that both write in the same way.
pub trait Form {
    /// Writes what comes before a field's value.
    fn name(&mut self, name: &str);
    /// The same for a name that the code knows.
    fn known(&mut self, name: Name);
    /// Writes a text that is not the sentence.
    fn text(&mut self, text: &str);
    /// Writes the sentence of the event.
    fn sentence(&mut self, text: &str);
    /// Writes a value that writes itself in pieces.
    fn pieces(&mut self, value: &dyn fmt::Debug);
    /// Writes fields that write themselves.
    fn at_once(&mut self, fields: &dyn fmt::Debug);
    /// The line, for text without escapes.
    fn plain(&mut self) -> &mut String;

    /// A whole number.
    fn number(&mut self, number: u64) {
        self.plain().push_str(itoa::Buffer::new().format(number));
    }

    /// A duration in seconds, to the microsecond.
    fn seconds(&mut self, duration: Duration) {
        let rounded = duration.saturating_add(Duration::from_nanos(500));
        match rounded.as_secs() {
            0 => self.plain().push_str("0."),
            seconds => {
                self.number(seconds);
                self.plain().push('.');
            }
        }
        six_digits(self.plain(), rounded.subsec_micros());
    }
}

/// A field's name in both forms.
#[derive(Clone, Copy)]
pub struct Name {
    /// ` name=`
    pub text: &'static str,
    /// `,"name":`
    pub json: &'static str,
}

/// Makes a [`Name`] of a literal.
#[macro_export]
macro_rules! field {
    ($name:literal) => {
        $crate::log::format::Name {
            text: concat!(" ", $name, "="),
            json: concat!(",\"", $name, "\":"),
        }
    };
}

/// The form for people.
pub struct Text<'a>(pub &'a mut String);

/// The form for programs.
pub struct Json<'a>(pub &'a mut String);

impl Form for Text<'_> {
    fn name(&mut self, name: &str) {
        self.0.push(' ');
        if name != MESSAGE {
            self.0.push_str(name);
            self.0.push('=');
        }
    }

    fn known(&mut self, name: Name) {
        self.0.push_str(name.text);
    }

    fn text(&mut self, text: &str) {
        let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        if each_is(text, plain) {
            self.0.push('"');
            self.0.push_str(text);
            self.0.push('"');
        } else {
            // Writing to memory can't fail, here and below.
            let _ = write!(self.0, "{text:?}");
        }
    }

    fn sentence(&mut self, text: &str) {
        let _ = OneLine(self.0).write_str(text);
    }

    fn pieces(&mut self, value: &dyn fmt::Debug) {
        let _ = write!(OneLine(self.0), "{value:?}");
    }

    fn at_once(&mut self, fields: &dyn fmt::Debug) {
        let _ = write!(self.0, "{fields:?}");
    }

    fn plain(&mut self) -> &mut String {
        self.0
    }
}

impl Form for Json<'_> {
    fn name(&mut self, name: &str) {
        self.0.push_str(",\"");
        self.0.push_str(name);
        self.0.push_str("\":");
    }

    fn known(&mut self, name: Name) {
        self.0.push_str(name.json);
    }

    fn text(&mut self, text: &str) {
        self.0.push('"');
        let _ = JsonString(self.0).write_str(text);
        self.0.push('"');
    }

    fn sentence(&mut self, text: &str) {
        self.text(text);
    }

    fn pieces(&mut self, value: &dyn fmt::Debug) {
        self.0.push('"');
        let _ = write!(JsonString(self.0), "{value:?}");
        self.0.push('"');
    }

    fn at_once(&mut self, fields: &dyn fmt::Debug) {
        let _ = write!(self.0, "{fields:#?}");
    }

    fn plain(&mut self) -> &mut String {
        self.0
    }
}

/// Writes the fields of one event.
struct Fields<F> {
    line: F,
}

impl<F: Form> Visit for Fields<F> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.line.name(field.name());
        match field.name() {
            MESSAGE => self.line.sentence(value),
            _ => self.line.text(value),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.line.name(field.name());
        self.line.number(value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.line.name(field.name());
        let mut digits = itoa::Buffer::new();
        self.line.plain().push_str(digits.format(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.line.name(field.name());
        let word = if value { "true" } else { "false" };
        self.line.plain().push_str(word);
    }

    /// A number with a fraction: nearly always a duration in seconds.
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.line.name(field.name());
        // A number of this size is exact to the microsecond.
        if (0.0..1e9).contains(&value) {
            self.line.seconds(Duration::from_secs_f64(value));
        } else if value.is_finite() {
            let _ = write!(self.line.plain(), "{value}");
        } else {
            self.line.plain().push_str("null");
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == AT_ONCE {
            return self.line.at_once(value);
        }
        self.line.name(field.name());
        self.line.pieces(value);
    }
}

/// Whether each byte is of this kind. It looks at all bytes: that takes fewer instructions than to
/// stop at the first.
fn each_is(text: &str, kind: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(true, |all, byte| all & kind(byte))
}

/// Writes a part of a second.
pub fn six_digits(line: &mut String, micros: u32) {
    // The leading 1 keeps the zeros behind it, and is not written.
    line.push_str(&itoa::Buffer::new().format(1_000_000 + micros)[1..]);
}

/// Writes text on one line, and writes characters that can't be seen as escapes.
struct OneLine<'a>(&'a mut String);

impl Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if each_is(text, |byte| matches!(byte, b' '..=b'~')) {
            self.0.push_str(text);
            return Ok(());
        }
        for character in text.chars() {
            match character {
                // `escape_debug` would also escape these, but they can be seen.
                '"' | '\'' | '\\' => self.0.push(character),
                _ => self.0.extend(character.escape_debug()),
            }
        }
        Ok(())
    }
}

/// Writes the inside of a JSON string.
struct JsonString<'a>(&'a mut String);

impl Write for JsonString<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        if each_is(text, is_plain) {
            self.0.push_str(text);
            return Ok(());
        }
        for character in text.chars() {
            match character {
                '"' | '\\' => self.0.extend(['\\', character]),
                '\n' => self.0.push_str("\\n"),
                '\0'..' ' => write!(self.0, "\\u{:04x}", u32::from(character))?,
                _ => self.0.push(character),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_six_digits_and_are_rounded() {
        let of = |nanos| {
            let mut line = String::new();
            Text(&mut line).seconds(Duration::from_nanos(nanos));
            line
        };
        for (nanos, shown) in [
            (0, "0.000000"),
            (499, "0.000000"),
            (500, "0.000001"),
            (70_000_000, "0.070000"),
            (1_999_999_500, "2.000000"),
            (12_345_678_900, "12.345679"),
        ] {
            assert_eq!(of(nanos), shown);
        }
    }

    #[test]
    fn whatever_a_text_holds_it_stays_one_line_and_one_value() {
        let hostile = "a\"b\\c\nd\u{1b}[31m\u{202e}\0é";
        let mut line = String::new();
        Text(&mut line).text(hostile);
        assert_eq!(line, format!("{hostile:?}"));
        assert!(!line.contains(['\n', '\u{1b}']));
        let mut line = String::new();
        Text(&mut line).sentence("it's\nnew\u{202e}");
        assert_eq!(line, "it's\\nnew\\u{202e}");
        let mut line = String::new();
        Json(&mut line).text(hostile);
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), hostile);
        assert!(!line.contains('\n'));
    }
}
