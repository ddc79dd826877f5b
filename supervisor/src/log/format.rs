//! How an event becomes a line: as text or as JSON. Whatever a value holds, it stays one line, and in JSON one
//! value.
//!
//! An execution's line has two dozen fields and belongs to a request that takes the supervisor some 200,000
//! instructions: text and numbers are copied into one buffer, and only what can't be copied is formatted.

use std::fmt::{self, Write};
use tracing::Event;
use tracing::field::{Field, Visit};

/// The field that tracing keeps an event's sentence in.
const MESSAGE: &str = "message";

/// Writes an event as a line for people: a sentence, then fields. `time` is when it happened.
pub fn text(line: &mut Vec<u8>, time: &[u8], event: &Event<'_>) {
    let metadata = event.metadata();
    line.extend_from_slice(time);
    line.push(b' ');
    let level = metadata.level().as_str();
    line.extend_from_slice(&b"     "[level.len().min(5)..]);
    line.extend_from_slice(level.as_bytes());
    line.push(b' ');
    line.extend_from_slice(metadata.target().as_bytes());
    line.push(b':');
    event.record(&mut Fields {
        line: Text(&mut *line),
    });
    line.push(b'\n');
}

/// Writes an event as one JSON object.
pub fn json(line: &mut Vec<u8>, time: &[u8], event: &Event<'_>) {
    let metadata = event.metadata();
    line.extend_from_slice(b"{\"timestamp\":\"");
    line.extend_from_slice(time);
    line.extend_from_slice(b"\",\"level\":\"");
    line.extend_from_slice(metadata.level().as_str().as_bytes());
    line.extend_from_slice(b"\",\"target\":\"");
    line.extend_from_slice(metadata.target().as_bytes());
    line.push(b'"');
    event.record(&mut Fields {
        line: Json(&mut *line),
    });
    line.extend_from_slice(b"}\n");
}

/// What differs between the two forms.
trait Form {
    /// What stands before a field's value.
    fn name(&mut self, name: &str);
    /// A text that is no sentence.
    fn text(&mut self, text: &str);
    /// A text that is the event's sentence.
    fn sentence(&mut self, text: &str);
    /// What writes itself in pieces.
    fn pieces(&mut self, value: &dyn fmt::Debug);
    /// What needs no escape.
    fn plain(&mut self) -> &mut Vec<u8>;
}

struct Text<'a>(&'a mut Vec<u8>);

struct Json<'a>(&'a mut Vec<u8>);

impl Form for Text<'_> {
    fn name(&mut self, name: &str) {
        self.0.push(b' ');
        if name != MESSAGE {
            self.0.extend_from_slice(name.as_bytes());
            self.0.push(b'=');
        }
    }

    fn text(&mut self, text: &str) {
        let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        if text.bytes().all(plain) {
            self.0.push(b'"');
            self.0.extend_from_slice(text.as_bytes());
            self.0.push(b'"');
        } else {
            // Writing to memory can't fail, here and below.
            let _ = write!(Bytes(self.0), "{text:?}");
        }
    }

    fn sentence(&mut self, text: &str) {
        let _ = OneLine(self.0).write_str(text);
    }

    fn pieces(&mut self, value: &dyn fmt::Debug) {
        let _ = write!(OneLine(self.0), "{value:?}");
    }

    fn plain(&mut self) -> &mut Vec<u8> {
        self.0
    }
}

impl Form for Json<'_> {
    fn name(&mut self, name: &str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    fn text(&mut self, text: &str) {
        self.0.push(b'"');
        let _ = JsonString(self.0).write_str(text);
        self.0.push(b'"');
    }

    fn sentence(&mut self, text: &str) {
        self.text(text);
    }

    fn pieces(&mut self, value: &dyn fmt::Debug) {
        self.0.push(b'"');
        let _ = write!(JsonString(self.0), "{value:?}");
        self.0.push(b'"');
    }

    fn plain(&mut self) -> &mut Vec<u8> {
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
        digits(self.line.plain(), value, 1);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.line.name(field.name());
        if value < 0 {
            self.line.plain().push(b'-');
        }
        digits(self.line.plain(), value.unsigned_abs(), 1);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.line.name(field.name());
        let word: &[u8] = if value { b"true" } else { b"false" };
        self.line.plain().extend_from_slice(word);
    }

    /// Seconds, nearly always: to the microsecond, which takes no more than two whole numbers.
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.line.name(field.name());
        let line = self.line.plain();
        let micros = value * 1e6;
        if (0.0..1e15).contains(&micros) {
            // Not `round`: without SSE 4.1 it is a call, and a positive number needs none.
            let micros = (micros + 0.5) as u64;
            digits(line, micros / 1_000_000, 1);
            line.push(b'.');
            digits(line, micros % 1_000_000, 6);
        } else if value.is_finite() {
            let _ = write!(Bytes(line), "{value}");
        } else {
            line.extend_from_slice(b"null");
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.line.name(field.name());
        self.line.pieces(value);
    }
}

/// Writes a number, with zeros before it up to this width.
pub fn digits(line: &mut Vec<u8>, mut number: u64, width: usize) {
    // As many as the largest has.
    let mut buffer = [b'0'; 20];
    let mut start = buffer.len();
    while number > 0 {
        start -= 1;
        buffer[start] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    let start = start.min(buffer.len() - width.min(buffer.len()));
    line.extend_from_slice(&buffer[start..]);
}

/// Writes text as it is.
struct Bytes<'a>(&'a mut Vec<u8>);

impl Write for Bytes<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Writes text that stays on its line, and shows what would not be seen.
struct OneLine<'a>(&'a mut Vec<u8>);

impl Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            self.0.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        for character in text.chars() {
            match character {
                // These are seen, and are escaped by `escape_debug` all the same.
                '"' | '\'' | '\\' => Bytes(self.0).write_char(character)?,
                _ => write!(Bytes(self.0), "{}", character.escape_debug())?,
            }
        }
        Ok(())
    }
}

/// Writes the inside of a JSON string.
struct JsonString<'a>(&'a mut Vec<u8>);

impl Write for JsonString<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        if text.bytes().all(is_plain) {
            self.0.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => self.0.extend_from_slice(&[b'\\', byte]),
                b'\n' => self.0.extend_from_slice(b"\\n"),
                byte if is_plain(byte) => self.0.push(byte),
                _ => write!(Bytes(self.0), "\\u{byte:04x}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_digits() {
        let of = |number, width| {
            let mut line = Vec::new();
            digits(&mut line, number, width);
            String::from_utf8(line).unwrap()
        };
        for number in [0, 7, 10, 999, 1_000_000, u64::MAX] {
            assert_eq!(of(number, 1), number.to_string());
            assert_eq!(of(number, 6), format!("{number:06}"));
        }
    }

    #[test]
    fn whatever_a_text_holds_it_stays_one_line_and_one_value() {
        let hostile = "a\"b\\c\nd\u{1b}[31m\u{202e}\0é";
        let mut line = Vec::new();
        Text(&mut line).text(hostile);
        assert_eq!(line, format!("{hostile:?}").as_bytes());
        assert!(!line.contains(&b'\n') && !line.contains(&0x1b));
        let mut line = Vec::new();
        Text(&mut line).sentence("it's\nnew\u{202e}");
        assert_eq!(String::from_utf8(line).unwrap(), "it's\\nnew\\u{202e}");
        let mut line = Vec::new();
        Json(&mut line).text(hostile);
        assert_eq!(serde_json::from_slice::<String>(&line).unwrap(), hostile);
        assert!(!line.contains(&b'\n'));
    }
}
