//! The ends of single tokens: space, strings, numbers and names.
//!
//! This file knows nothing of nesting, and never looks past the token. Offsets are in bytes. They
//! are always the start of a character, because every token begins and ends with ASCII.

use super::{INTEGER_DIGITS_MAX, JsonError};

/// The first byte at or after `at` that is not JSON's whitespace.
pub(super) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The end of the string, number or name at `at` (`scan_once_unicode`, without containers).
pub(super) fn scalar_end(bytes: &[u8], at: usize) -> Result<usize, JsonError> {
    let name: &[u8] = match bytes.get(at) {
        Some(b'"') => return string_end(bytes, at),
        Some(b'n') => b"null",
        Some(b't') => b"true",
        Some(b'f') => b"false",
        Some(b'N') => b"NaN",
        Some(b'I') => b"Infinity",
        Some(b'-') if bytes.get(at + 1) == Some(&b'I') => b"-Infinity",
        _ => return number_end(bytes, at),
    };
    if bytes[at..].starts_with(name) {
        Ok(at + name.len())
    } else {
        Err(expecting_value(bytes, at))
    }
}

fn expecting_value(bytes: &[u8], at: usize) -> JsonError {
    JsonError::syntax(bytes, at, "Expecting value")
}

/// `_match_number_unicode`: takes the longest number and leaves the rest. So `1.` is a `1` with
/// extra data after it.
fn number_end(bytes: &[u8], start: usize) -> Result<usize, JsonError> {
    let integer = start + usize::from(bytes.get(start) == Some(&b'-'));
    let integer_end = match bytes.get(integer) {
        Some(b'0') => integer + 1,
        Some(b'1'..=b'9') => digits_end(bytes, integer),
        _ => return Err(expecting_value(bytes, start)),
    };
    let end = exponent_end(bytes, fraction_end(bytes, integer_end));
    let digits = integer_end - integer;
    if end == integer_end && digits > INTEGER_DIGITS_MAX {
        return Err(JsonError::integer_too_long(bytes, start, digits));
    }
    Ok(end)
}

/// The place after a `.` and digits; `at` itself if there is something else.
fn fraction_end(bytes: &[u8], at: usize) -> usize {
    if bytes.get(at) != Some(&b'.') {
        return at;
    }
    let end = digits_end(bytes, at + 1);
    if end > at + 1 { end } else { at }
}

/// The place after an `e`, an optional sign, and digits; `at` itself if there is something else.
fn exponent_end(bytes: &[u8], at: usize) -> usize {
    let Some(b'e' | b'E') = bytes.get(at) else {
        return at;
    };
    let digits = at + 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
    let end = digits_end(bytes, digits);
    if end > digits { end } else { at }
}

fn digits_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b'0'..=b'9') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The place after the closing quote of the string whose opening quote is at `quote`
/// (`scanstring_unicode`, strict).
pub(super) fn string_end(bytes: &[u8], quote: usize) -> Result<usize, JsonError> {
    let mut at = quote + 1;
    loop {
        at = plain_end(bytes, at);
        at = match bytes.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => escape_end(bytes, quote, at)?,
            Some(_) => return Err(JsonError::syntax(bytes, at, "Invalid control character at")),
            None => return Err(unterminated(bytes, quote)),
        };
    }
}

fn unterminated(bytes: &[u8], quote: usize) -> JsonError {
    JsonError::syntax(bytes, quote, "Unterminated string starting at")
}

fn escape_end(bytes: &[u8], quote: usize, backslash: usize) -> Result<usize, JsonError> {
    match bytes.get(backslash + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(backslash + 2),
        Some(b'u') => {
            let end = backslash + 6;
            // CPython needs one more character after the digits, and reports an error if it is
            // missing.
            match bytes.get(backslash + 2..end) {
                Some(hex) if hex.iter().all(u8::is_ascii_hexdigit) && end < bytes.len() => Ok(end),
                _ => Err(JsonError::syntax(
                    bytes,
                    backslash + 1,
                    "Invalid \\uXXXX escape",
                )),
            }
        }
        Some(_) => Err(JsonError::syntax(bytes, backslash, "Invalid \\escape")),
        None => Err(unterminated(bytes, quote)),
    }
}

/// The first quote, backslash or control character at or after `at`, or the end of the text.
///
/// Most of a payload is program text in one long string, so this looks at eight bytes at a time.
pub(super) fn plain_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let (words, tail) = rest.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let marks = special_bytes(u64::from_le_bytes(*word));
        if marks != 0 {
            return at + index * 8 + marks.trailing_zeros() as usize / 8;
        }
    }
    let in_tail = tail
        .iter()
        .position(|&byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
    bytes.len() - tail.len() + in_tail.unwrap_or(tail.len())
}

/// Sets the top bit of each byte of `word` that is a quote, a backslash or below 0x20. The lowest
/// such bit is exact. A borrow may set wrong bits above it, which are not used.
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word;
    let control = below(word, 0x20);
    let quote = below(word ^ (ONES * b'"' as u64), 1);
    let backslash = below(word ^ (ONES * b'\\' as u64), 1);
    (control | quote | backslash) & TOPS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_run_ends_at_the_same_byte_as_byte_by_byte() {
        for special in 0..=255u8 {
            let ends = matches!(special, b'"' | b'\\' | 0..=0x1f);
            for place in 0..20 {
                let mut bytes = [b'a', 0xff, 0x80, b'!', b'#'].repeat(4);
                bytes[place] = special;
                for start in 0..=place {
                    let expected = if ends { place } else { bytes.len() };
                    assert_eq!(
                        plain_end(&bytes, start),
                        expected,
                        "{special:#x} at {place} from {start}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_longest_number_is_taken() {
        for (text, end) in [
            ("10", 2),
            ("-0.5", 4),
            ("1e5x", 3),
            ("1e+", 1),
            ("1.e5", 1),
            ("0123", 1),
            ("1.5E-07", 7),
        ] {
            assert_eq!(number_end(text.as_bytes(), 0), Ok(end), "{text}");
        }
    }

    #[test]
    fn a_name_must_be_whole() {
        assert_eq!(scalar_end(b"-Infinity", 0), Ok(9));
        assert!(scalar_end(b"-Infinit", 0).is_err());
        assert!(scalar_end(b"tru", 0).is_err());
    }
}
