//! The fault of a text, and its place, counted as Python counts.
//!
//! An error never contains a part of the text: errors go to logs, and payloads must not.

use std::fmt;

use super::{INTEGER_DIGITS_MAX, NESTING_MAX};

/// Why a text is refused. `Display` gives the sentence for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text is not JSON: Python's `JSONDecodeError`, in its words.
    #[error("{what}: {at}")]
    Syntax {
        /// CPython's sentence, without the place.
        what: &'static str,
        /// The place that CPython reports.
        at: Position,
    },
    /// Python's `ValueError: Exceeds the limit (4300 digits) for integer string conversion`.
    #[error("Integer of {digits} digits exceeds the limit of {INTEGER_DIGITS_MAX} digits: {at}")]
    IntegerTooLong {
        /// How many digits the integer has, without the sign.
        digits: usize,
        /// Its first character.
        at: Position,
    },
    /// Python's `RecursionError`.
    #[error("Nesting exceeds the limit of {NESTING_MAX} levels: {at}")]
    TooDeep {
        /// The bracket that opens one level too many.
        at: Position,
    },
}

impl JsonError {
    #[cold]
    pub(super) fn syntax(bytes: &[u8], at: usize, what: &'static str) -> Self {
        Self::Syntax {
            what,
            at: Position::of(bytes, at),
        }
    }

    #[cold]
    pub(super) fn integer_too_long(bytes: &[u8], at: usize, digits: usize) -> Self {
        Self::IntegerTooLong {
            digits,
            at: Position::of(bytes, at),
        }
    }

    #[cold]
    pub(super) fn too_deep(bytes: &[u8], at: usize) -> Self {
        Self::TooDeep {
            at: Position::of(bytes, at),
        }
    }
}

/// A place in a text, in code points (`JSONDecodeError.__init__`): only `\n` ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1.
    pub column: usize,
    /// Counted from 0, from the start of the text.
    pub char: usize,
}

impl Position {
    /// This is computed only for an error. A scan that succeeds uses byte offsets only.
    fn of(bytes: &[u8], at: usize) -> Self {
        let before = &bytes[..at];
        let line_start = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |newline| newline + 1);
        Self {
            line: before.iter().filter(|&&byte| byte == b'\n').count() + 1,
            column: code_points(&before[line_start..]) + 1,
            char: code_points(before),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {} column {} (char {})",
            self.line, self.column, self.char
        )
    }
}

/// In UTF-8, each code point has exactly one byte that is not a continuation byte.
fn code_points(utf8: &[u8]) -> usize {
    utf8.iter().filter(|&&byte| byte & 0xC0 != 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_code_points() {
        let text = "é\n\u{1f600}\r€x";
        let at = Position::of(text.as_bytes(), text.len() - 1);
        assert_eq!(at.to_string(), "line 2 column 4 (char 5)");
    }

    #[test]
    fn the_end_of_the_text_is_a_place_too() {
        assert_eq!(
            Position::of(b"\n", 1).to_string(),
            "line 2 column 1 (char 1)"
        );
    }
}
