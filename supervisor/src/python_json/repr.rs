//! Python's `repr` of a value, for error messages that must equal the original's.
//!
//! Sources: CPython's `Objects/unicodeobject.c` (`unicode_repr`), `bytesobject.c` (`PyBytes_Repr`),
//! `floatobject.c` (`float_repr`). The text is for people; no part of it goes back into a payload.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::vec;

use crate::python_json::scan::{Elements, JsonType, Raw, RawString};

/// Lists, dicts and strings whose JSON is longer than this are shown as `[...]`, `{...}` and
/// `'...'`. (Python shows lists and dicts so that contain themselves.) Without this bound, a body
/// of nested objects would be read once for each of its levels (64 KiB at 990 levels take 0.1 s),
/// and the message for a string would be five times as long as the body. No person reads such a
/// message.
pub const SHOWN_TEXT_BYTES_MAX: usize = 64 * 1024;

/// `repr(json.loads(text))` of a scanned value. It is at most five times as long as the text
/// (`1e15,` is the worst case). If a key comes twice, the last value is shown, in the place of the
/// first, as in a dict.
///
/// There are two approximations. Texts longer than [`SHOWN_TEXT_BYTES_MAX`] are not shown.
/// Characters that Unicode got after version 14 are shown as they are; Python 3.11 does not know
/// them and escapes them.
pub fn repr(value: Raw<'_>) -> String {
    let is_huge = value.as_str().len() > SHOWN_TEXT_BYTES_MAX;
    match value.kind() {
        JsonType::Array if is_huge => return "[...]".to_owned(),
        JsonType::Object if is_huge => return "{...}".to_owned(),
        JsonType::String if is_huge => return "'...'".to_owned(),
        _ => {}
    }
    let mut out = String::new();
    let mut open = Vec::new();
    write_start(&mut out, &mut open, value);
    while let Some(container) = open.last_mut() {
        match container.write_up_to_next_value(&mut out) {
            Some(value) => write_start(&mut out, &mut open, value),
            None => _ = open.pop(),
        }
    }
    out
}

/// Writes all of a scalar. Of a container it writes only the opening bracket; the loop writes the
/// rest.
fn write_start<'a>(out: &mut String, open: &mut Vec<OpenContainer<'a>>, value: Raw<'a>) {
    match value.kind() {
        JsonType::Object => {
            out.push('{');
            open.push(OpenContainer::Dict(dict_items(value).into_iter()));
        }
        JsonType::Array => {
            out.push('[');
            open.push(OpenContainer::List(value.elements()));
        }
        JsonType::String => value
            .as_string()
            .into_iter()
            .for_each(|string| write_str(out, string)),
        JsonType::Integer if value.as_str() == "-0" => out.push('0'),
        JsonType::Integer => out.push_str(value.as_str()),
        JsonType::Float => out.push_str(&float_repr(value.as_str())),
        JsonType::True => out.push_str("True"),
        JsonType::False => out.push_str("False"),
        JsonType::Null => out.push_str("None"),
    }
}

/// A list or dict whose opening bracket is written. They are kept on a stack of our own, because
/// the text decides how deep they are nested.
enum OpenContainer<'a> {
    List(Elements<'a>),
    Dict(vec::IntoIter<(RawString<'a>, Raw<'a>)>),
}

impl<'a> OpenContainer<'a> {
    /// Writes everything before the next value, and returns that value. If there is none, writes
    /// the closing bracket.
    fn write_up_to_next_value(&mut self, out: &mut String) -> Option<Raw<'a>> {
        match self {
            Self::List(items) => {
                let Some(value) = items.next() else {
                    out.push(']');
                    return None;
                };
                write_separator(out);
                Some(value)
            }
            Self::Dict(items) => {
                let Some((key, value)) = items.next() else {
                    out.push('}');
                    return None;
                };
                write_separator(out);
                write_str(out, key);
                out.push_str(": ");
                Some(value)
            }
        }
    }
}

/// Writes a comma, except before the first item. Only there is an opening bracket the last
/// character, since no value ends with one.
fn write_separator(out: &mut String) {
    if !out.ends_with(['[', '{']) {
        out.push_str(", ");
    }
}

/// The members of an object as a dict has them: each key once.
fn dict_items<'a>(object: Raw<'a>) -> Vec<(RawString<'a>, Raw<'a>)> {
    let mut items: Vec<(RawString<'a>, Raw<'a>)> = Vec::new();
    let mut place_of: HashMap<Cow<'a, [u8]>, usize> = HashMap::new();
    for (key, value) in object.members() {
        let place = *place_of.entry(key.decode()).or_insert(items.len());
        match items.get_mut(place) {
            Some(item) => item.1 = value,
            None => items.push((key, value)),
        }
    }
    items
}

/// `repr(float(text))`. Python writes the exponent with a sign and at least two digits.
fn float_repr(text: &str) -> String {
    let value: f64 = match text {
        "NaN" => f64::NAN,
        "Infinity" => f64::INFINITY,
        "-Infinity" => f64::NEG_INFINITY,
        // Rust reads every number that JSON can write. A number that is too large becomes infinite,
        // as in Python.
        number => number.parse().unwrap_or(f64::NAN),
    };
    if value.is_nan() {
        return "nan".to_owned();
    }
    let digits = shortest_digits(value);
    match digits.split_once('e') {
        None => digits,
        Some((mantissa, exponent)) => match exponent.strip_prefix('-') {
            Some(negative) => format!("{mantissa}e-{negative:0>2}"),
            None => format!("{mantissa}e+{exponent:0>2}"),
        },
    }
}

/// The fewest digits that read back as `value`, as Rust's `{:?}` gives them. Rust changes to an
/// exponent at the same sizes as Python (1e16, 1e-4). There is one difference: if two numbers of
/// that length are equally near, Rust takes the greater one and Python the even one. Rounding to
/// that length takes the even one too.
fn shortest_digits(value: f64) -> String {
    let shortest = format!("{value:?}");
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, ""));
    let decimals = mantissa
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len());
    let rounded = if exponent.is_empty() {
        format!("{value:.decimals$}")
    } else {
        format!("{value:.decimals$e}")
    };
    if rounded.parse() == Ok(value) {
        rounded
    } else {
        shortest
    }
}

/// `repr` of the Python string. Rust's standard library says what is printable. Its rule is
/// Python's (categories Cc, Cf, Cs, Co, Cn, Zl, Zp and Zs are not printable, except the space),
/// with a newer Unicode.
fn write_str(out: &mut String, string: RawString<'_>) {
    let has = |quote: char| {
        string
            .code_points()
            .any(|code_point| code_point == u32::from(quote))
    };
    let quote = quote_for(has('\''), has('"'));
    out.push(quote);
    for code_point in string.code_points() {
        match char::from_u32(code_point) {
            Some(char) if char.is_ascii() => write_ascii(out, quote, char),
            Some(char) if is_printable(char) => out.push(char),
            _ => write_escaped(out, code_point),
        }
    }
    out.push(quote);
}

/// `repr` of the Python bytes object. It is at most three bytes longer than four times the input.
pub fn bytes_repr(bytes: &[u8]) -> String {
    let quote = quote_for(bytes.contains(&b'\''), bytes.contains(&b'"'));
    let mut out = String::with_capacity(bytes.len() + 3);
    out.push('b');
    out.push(quote);
    for &byte in bytes {
        if byte.is_ascii() {
            write_ascii(&mut out, quote, char::from(byte));
        } else {
            write_escaped(&mut out, u32::from(byte));
        }
    }
    out.push(quote);
    out
}

/// Python prefers single quotes, unless they would need an escape and double quotes would not.
fn quote_for(has_single: bool, has_double: bool) -> char {
    if has_single && !has_double { '"' } else { '\'' }
}

fn write_ascii(out: &mut String, quote: char, char: char) {
    match char {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        _ if char == quote || char == '\\' => out.extend(['\\', char]),
        ' '..='~' => out.push(char),
        _ => write_escaped(out, u32::from(char)),
    }
}

fn write_escaped(out: &mut String, code_point: u32) {
    // Writing to a String can't fail.
    _ = match code_point {
        0..=0xFF => write!(out, "\\x{code_point:02x}"),
        0x100..=0xFFFF => write!(out, "\\u{code_point:04x}"),
        _ => write!(out, "\\U{code_point:08x}"),
    };
}

/// `str.isprintable` for a character that is not ASCII. The letter in front is needed because
/// `escape_debug` also escapes combining characters, but only at the start of a string.
fn is_printable(char: char) -> bool {
    let mut buffer = [0; 5];
    buffer[0] = b'a';
    let end = 1 + char.encode_utf8(&mut buffer[1..]).len();
    std::str::from_utf8(&buffer[..end]).is_ok_and(|text| text.escape_debug().eq(text.chars()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python_json::scan::scan;

    fn repr_of(text: &str) -> String {
        repr(scan(text).unwrap())
    }

    #[test]
    fn numbers_and_names_read_as_in_python() {
        for (text, expected) in [
            ("1e400", "inf"),
            ("-Infinity", "-inf"),
            ("NaN", "nan"),
            ("1e5", "100000.0"),
            ("1E16", "1e+16"),
            ("12345678901234567.0", "1.2345678901234568e+16"),
            ("0.00001", "1e-05"),
            ("0.0001", "0.0001"),
            ("-0.0", "-0.0"),
            ("-0", "0"),
            ("5e-324", "5e-324"),
            ("928222003265725.25", "928222003265725.2"),
            ("5.684341886080802e-14", "5.684341886080802e-14"),
            (
                "123456789012345678901234567890",
                "123456789012345678901234567890",
            ),
            ("[true,false,null]", "[True, False, None]"),
        ] {
            assert_eq!(repr_of(text), expected, "{text}");
        }
    }

    #[test]
    fn strings_choose_their_quotes_and_escapes_as_in_python() {
        for (text, expected) in [
            (r#""a""#, "'a'"),
            (r#""it's""#, r#""it's""#),
            (r#""it's \"so\"""#, r#"'it\'s "so"'"#),
            (r#""\\\n\r\t\u0000\u007f""#, r"'\\\n\r\t\x00\x7f'"),
            ("\"é\u{301}\u{1f600}\"", "'é\u{301}\u{1f600}'"),
            (
                "\"\u{a0}\u{ad}\u{2028}\u{e000}\u{e0001}\"",
                r"'\xa0\xad\u2028\ue000\U000e0001'",
            ),
            (r#""\ud83d""#, r"'\ud83d'"),
        ] {
            assert_eq!(repr_of(text), expected, "{text}");
        }
    }

    #[test]
    fn containers_nest_without_recursion() {
        assert_eq!(
            repr_of(r#"{"a":[1,{"b":[]}],"c":{}}"#),
            "{'a': [1, {'b': []}], 'c': {}}"
        );
        let deep = format!("{}1{}", "[".repeat(900), "]".repeat(900));
        assert_eq!(repr_of(&deep), deep);
    }

    #[test]
    fn a_repeated_key_keeps_its_place_and_takes_the_last_value() {
        assert_eq!(repr_of(r#"{"a":1,"b":2,"\u0061":3}"#), "{'a': 3, 'b': 2}");
    }

    #[test]
    fn what_is_huge_is_not_shown() {
        let array = format!("[{}1]", "1,".repeat(SHOWN_TEXT_BYTES_MAX / 2));
        assert_eq!(repr_of(&array), "[...]");
        assert_eq!(repr_of(&format!("{{\"a\":{array}}}")), "{...}");
        let longest = "a".repeat(SHOWN_TEXT_BYTES_MAX - 2);
        assert_eq!(repr_of(&format!("\"{longest}\"")), format!("'{longest}'"));
        assert_eq!(repr_of(&format!("\"{longest}a\"")), "'...'");
    }

    #[test]
    fn bytes_read_as_in_python() {
        assert_eq!(bytes_repr(b""), "b''");
        assert_eq!(bytes_repr(b"it's\n\xff\x00\\"), r#"b"it's\n\xff\x00\\""#);
        assert_eq!(bytes_repr(b"'\"\t\r\x7f~ "), r#"b'\'"\t\r\x7f~ '"#);
    }
}
