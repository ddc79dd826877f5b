//! How an event becomes a line: as text or as JSON. Whatever a value holds, it stays one line, and in JSON one
//! value.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The field that tracing keeps an event's sentence in.
const MESSAGE: &str = "message";

/// Writes lines, in the form that is wanted at the time.
pub struct Lines {
    json: &'static AtomicBool,
}

impl Lines {
    /// `json` is looked at for each line.
    pub fn new(json: &'static AtomicBool) -> Self {
        Self { json }
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (level, target) = (event.metadata().level(), event.metadata().target());
        if self.json.load(Ordering::Relaxed) {
            line.write_str("{\"timestamp\":\"")?;
            SystemTime.format_time(&mut line)?;
            write!(line, "\",\"level\":\"{level}\",\"target\":\"{target}\"")?;
            let mut fields = Fields::new(&mut line, Json);
            event.record(&mut fields);
            fields.result?;
            line.write_str("}\n")
        } else {
            SystemTime.format_time(&mut line)?;
            write!(line, " {level:>5} {target}:")?;
            let mut fields = Fields::new(&mut line, Text);
            event.record(&mut fields);
            fields.result?;
            line.write_char('\n')
        }
    }
}

/// What differs between the two forms.
trait Form {
    /// What stands before a field's value.
    fn name(&self, line: &mut dyn Write, name: &str) -> fmt::Result;
    /// A text, in quotes.
    fn text(&self, line: &mut dyn Write, text: &str) -> fmt::Result;
    /// What writes itself in pieces.
    fn pieces(&self, line: &mut dyn Write, value: &dyn fmt::Debug) -> fmt::Result;
}

struct Text;

struct Json;

impl Form for Text {
    fn name(&self, line: &mut dyn Write, name: &str) -> fmt::Result {
        line.write_char(' ')?;
        if name != MESSAGE {
            line.write_str(name)?;
            line.write_char('=')?;
        }
        Ok(())
    }

    fn text(&self, line: &mut dyn Write, text: &str) -> fmt::Result {
        let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        if !text.bytes().all(plain) {
            return write!(line, "{text:?}");
        }
        line.write_char('"')?;
        line.write_str(text)?;
        line.write_char('"')
    }

    fn pieces(&self, line: &mut dyn Write, value: &dyn fmt::Debug) -> fmt::Result {
        write!(OneLine(line), "{value:?}")
    }
}

impl Form for Json {
    fn name(&self, line: &mut dyn Write, name: &str) -> fmt::Result {
        line.write_str(",\"")?;
        line.write_str(name)?;
        line.write_str("\":")
    }

    fn text(&self, line: &mut dyn Write, text: &str) -> fmt::Result {
        line.write_char('"')?;
        JsonString(line).write_str(text)?;
        line.write_char('"')
    }

    fn pieces(&self, line: &mut dyn Write, value: &dyn fmt::Debug) -> fmt::Result {
        line.write_char('"')?;
        write!(JsonString(line), "{value:?}")?;
        line.write_char('"')
    }
}

/// Writes the fields of one event.
struct Fields<'a, F> {
    line: &'a mut dyn Write,
    form: F,
    result: fmt::Result,
}

impl<'a, F: Form> Fields<'a, F> {
    fn new(line: &'a mut dyn Write, form: F) -> Self {
        Self {
            line,
            form,
            result: Ok(()),
        }
    }

    fn write(&mut self, field: &Field, value: impl FnOnce(&F, &mut dyn Write) -> fmt::Result) {
        let (form, line) = (&self.form, &mut *self.line);
        if self.result.is_ok() {
            self.result = form
                .name(line, field.name())
                .and_then(|()| value(form, line));
        }
    }
}

impl<F: Form> Visit for Fields<'_, F> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, |form, line| form.text(line, value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, |_, line| write!(line, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field, |_, line| write!(line, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field, |_, line| {
            line.write_str(if value { "true" } else { "false" })
        });
    }

    /// Seconds, nearly always: to the microsecond, which takes no more than two whole numbers.
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.write(field, |_, line| {
            let micros = value * 1e6;
            if !value.is_finite() {
                line.write_str("null")
            } else if (0.0..1e15).contains(&micros) {
                let micros = micros.round() as u64;
                write!(line, "{}.{:06}", micros / 1_000_000, micros % 1_000_000)
            } else {
                write!(line, "{value}")
            }
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, |form, line| form.pieces(line, value));
    }
}

/// Writes text that stays on its line, and shows what would not be seen.
struct OneLine<'a>(&'a mut dyn Write);

impl Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return self.0.write_str(text);
        }
        for character in text.chars() {
            match character {
                // These are seen, and are escaped by `escape_debug` all the same.
                '"' | '\'' | '\\' => self.0.write_char(character)?,
                _ => write!(self.0, "{}", character.escape_debug())?,
            }
        }
        Ok(())
    }
}

/// Writes the inside of a JSON string.
struct JsonString<'a>(&'a mut dyn Write);

impl Write for JsonString<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut start = 0;
        for (at, byte) in text.bytes().enumerate() {
            if byte >= b' ' && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.0.write_str(&text[start..at])?;
            match byte {
                b'"' => self.0.write_str("\\\"")?,
                b'\\' => self.0.write_str("\\\\")?,
                b'\n' => self.0.write_str("\\n")?,
                _ => write!(self.0, "\\u{byte:04x}")?,
            }
            start = at + 1;
        }
        self.0.write_str(&text[start..])
    }
}
