//! The Python `str` that a JSON string stands for.
//!
//! A Python string may contain lone surrogates, and a Rust string may not. So code points are
//! `u32`, and decoded strings are bytes, never `String`. No character is replaced or lost.

use std::borrow::Cow;
use std::str::Chars;

use super::RawString;

impl<'a> RawString<'a> {
    /// The decoded string in generalised UTF-8. That is UTF-8, but a lone surrogate has its three
    /// bytes, as in Python's `encode('utf-8', 'surrogatepass')`. Two strings are equal in Python
    /// exactly if these bytes are equal: each code point has one encoding, and an escaped pair has
    /// become one code point before. It allocates only if there is an escape, and then at most the
    /// length of the text.
    pub fn decode(self) -> Cow<'a, [u8]> {
        let text = self.between_quotes();
        if !text.contains('\\') {
            return Cow::Borrowed(text.as_bytes());
        }
        let mut decoded = Vec::with_capacity(text.len());
        for code_point in self.code_points() {
            push_generalised_utf8(&mut decoded, code_point);
        }
        Cow::Owned(decoded)
    }
}

fn push_generalised_utf8(out: &mut Vec<u8>, code_point: u32) {
    match char::from_u32(code_point) {
        Some(char) => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        None => out.extend([
            0xED,
            0x80 | (code_point >> 6 & 0x3F) as u8,
            0x80 | (code_point & 0x3F) as u8,
        ]),
    }
}

/// Iterates over the code points of a decoded string, surrogates included.
#[derive(Debug, Clone)]
pub struct CodePoints<'a> {
    rest: Chars<'a>,
}

impl<'a> CodePoints<'a> {
    pub(super) fn new(between_quotes: &'a str) -> Self {
        Self {
            rest: between_quotes.chars(),
        }
    }

    /// The code point of the escape whose backslash was just taken.
    fn escaped(&mut self) -> Option<u32> {
        Some(match self.rest.next()? {
            'b' => 0x08,
            'f' => 0x0C,
            'n' => 0x0A,
            'r' => 0x0D,
            't' => 0x09,
            'u' => {
                let unit = self.four_hex_digits()?;
                self.joined(unit).unwrap_or(unit)
            }
            itself => u32::from(itself),
        })
    }

    /// `\ud83d\ude00` is one code point. A high surrogate joins with the next escape only if that
    /// is a low surrogate. Any other escape is a code point of its own, and may join with the one
    /// after it.
    fn joined(&mut self, high: u32) -> Option<u32> {
        if !(0xD800..0xDC00).contains(&high) {
            return None;
        }
        let mut ahead = self.clone();
        if ahead.rest.next()? != '\\' || ahead.rest.next()? != 'u' {
            return None;
        }
        let low = ahead
            .four_hex_digits()
            .filter(|unit| (0xDC00..0xE000).contains(unit))?;
        *self = ahead;
        Some(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    }

    fn four_hex_digits(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |unit, _| {
            Some(unit << 4 | self.rest.next()?.to_digit(16)?)
        })
    }
}

impl Iterator for CodePoints<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        match self.rest.next()? {
            '\\' => self.escaped(),
            char => Some(u32::from(char)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan;
    use super::*;

    fn decode(text: &str) -> Cow<'_, [u8]> {
        scan(text).unwrap().as_string().unwrap().decode()
    }

    #[test]
    fn a_string_without_escapes_is_borrowed() {
        let decoded = decode("\"é😀\"");
        assert!(matches!(decoded, Cow::Borrowed(bytes) if bytes == "é😀".as_bytes()));
    }

    #[test]
    fn every_escape_is_decoded() {
        assert_eq!(
            decode(r#""\"\\\/\b\f\n\r\t\u00e9x""#),
            "\"\\/\x08\x0c\n\r\té\u{78}".as_bytes()
        );
    }

    #[test]
    fn an_escaped_pair_equals_the_character() {
        assert_eq!(decode(r#""\ud83d\uDE00""#), decode("\"\u{1f600}\""));
    }

    #[test]
    fn surrogates_that_make_no_pair_keep_their_three_bytes() {
        assert_eq!(&*decode(r#""\ud83d""#), b"\xED\xA0\xBD");
        assert_eq!(&*decode(r#""\ude00\ud83d""#), b"\xED\xB8\x80\xED\xA0\xBD");
        assert_eq!(&*decode(r#""\ud83dx\ude00""#), b"\xED\xA0\xBDx\xED\xB8\x80");
        assert_eq!(&*decode(r#""\ud83d\n""#), b"\xED\xA0\xBD\n");
    }

    #[test]
    fn a_high_surrogate_that_did_not_join_leaves_the_next_one_free_to() {
        assert_eq!(
            &*decode(r#""\ud83d\ud83d\ude00""#),
            b"\xED\xA0\xBD\xF0\x9F\x98\x80"
        );
    }
}
