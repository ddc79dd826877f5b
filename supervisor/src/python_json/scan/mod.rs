//! Python's dialect of JSON: is this text one value, and where are its parts?
//!
//! The scan accepts exactly what `json.loads(str)` of CPython 3.11 accepts. It refuses all other
//! texts in CPython's words. `NaN`, `Infinity`, integers of any size up to Python's own limit, and
//! escaped lone surrogates are legal; `serde_json` and `jiter` have no such mode.
//! `tests/system/python_json/` compares it with CPython itself.
//!
//! The scan makes no numbers, no maps and no trees. So no value can change on its way to the
//! sandbox. It allocates nothing, never recurses, and takes time linear in the length of the text.

mod error;
mod grammar;
mod raw;
mod string;
mod token;

pub use error::{JsonError, Position};
pub use raw::{Elements, JsonType, Members, Raw, RawString};
pub use string::CodePoints;

/// How many arrays and objects may be open at once.
///
/// CPython 3.11's C scanner takes one step of the recursion limit (1000) for each container, and
/// the frames below it take some too. If a script's top level calls `json.loads`, 995 levels pass;
/// if a function of the script does, 994 pass. The few levels between those and this constant are
/// for the frames of the sandbox's runner.
pub const NESTING_MAX: usize = 990;

/// How many digits an integer may have: `sys.int_info.default_max_str_digits`. CPython has this
/// bound because the time of the conversion is quadratic. Floats have no such bound.
pub const INTEGER_DIGITS_MAX: usize = 4300;

/// Scans a text, which must be one JSON value, with only whitespace around it.
///
/// # Errors
/// The cases in which `json.loads` raises: [`JsonError::Syntax`] in the words of CPython's
/// `Modules/_json.c` and `Lib/json/decoder.py`, or one of the two refusals for which Python raises
/// other exceptions. As in Python, the first fault of the text counts.
pub fn scan(text: &str) -> Result<Raw<'_>, JsonError> {
    let bytes = text.as_bytes();
    if text.starts_with('\u{feff}') {
        return Err(JsonError::syntax(
            bytes,
            0,
            "Unexpected UTF-8 BOM (decode using utf-8-sig)",
        ));
    }
    let start = token::skip_space(bytes, 0);
    let end = grammar::value_end(bytes, start)?;
    let rest = token::skip_space(bytes, end);
    if rest != bytes.len() {
        return Err(JsonError::syntax(bytes, rest, "Extra data"));
    }
    Ok(Raw::of_scanned(&text[start..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        scan(text).expect_err(text).to_string()
    }

    #[test]
    fn pythons_own_values_are_accepted() {
        for text in [
            "NaN",
            "Infinity",
            "-Infinity",
            "-0",
            "1E400",
            r#""\ud800""#,
            "\"\u{7f}\"",
            " \t\n\r[ ]\r\n\t ",
        ] {
            assert!(scan(text).is_ok(), "{text:?}");
        }
        assert!(scan(&"9".repeat(INTEGER_DIGITS_MAX)).is_ok());
    }

    #[test]
    fn the_value_comes_without_the_space_around_it() {
        assert_eq!(scan(" [1, 2]\n").unwrap().as_str(), "[1, 2]");
    }

    #[test]
    fn refusals_are_worded_as_in_python() {
        for (text, expected) in [
            ("", "Expecting value: line 1 column 1 (char 0)"),
            (
                "\u{feff}1",
                "Unexpected UTF-8 BOM (decode using utf-8-sig): line 1 column 1 (char 0)",
            ),
            ("\u{a0}1", "Expecting value: line 1 column 1 (char 0)"),
            ("01", "Extra data: line 1 column 2 (char 1)"),
            ("1.", "Extra data: line 1 column 2 (char 1)"),
            ("-", "Expecting value: line 1 column 1 (char 0)"),
            ("[1,]", "Expecting value: line 1 column 4 (char 3)"),
            (
                "[1,\n 2 3]",
                "Expecting ',' delimiter: line 2 column 4 (char 7)",
            ),
            (
                "{\"a\" 1}",
                "Expecting ':' delimiter: line 1 column 6 (char 5)",
            ),
            (
                "{\"a\":1, }",
                "Expecting property name enclosed in double quotes: line 1 column 9 (char 8)",
            ),
            (
                "\"é\u{1f600}\n\"",
                "Invalid control character at: line 1 column 4 (char 3)",
            ),
            (
                r#""\u12g4""#,
                r"Invalid \uXXXX escape: line 1 column 3 (char 2)",
            ),
            (r#"["\x"]"#, r"Invalid \escape: line 1 column 3 (char 2)"),
            (
                r#"["a"#,
                "Unterminated string starting at: line 1 column 2 (char 1)",
            ),
        ] {
            assert_eq!(message(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_deepest_nesting_is_accepted_and_one_level_more_is_not() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(scan(&nested(NESTING_MAX)).is_ok());
        let refused = scan(&nested(NESTING_MAX + 1)).unwrap_err();
        assert!(
            matches!(refused, JsonError::TooDeep { at } if at.char == NESTING_MAX),
            "{refused}"
        );
    }

    #[test]
    fn an_integer_that_python_would_not_convert_is_refused_and_a_float_of_that_length_is_not() {
        let digits = "9".repeat(INTEGER_DIGITS_MAX + 1);
        assert!(matches!(
            scan(&format!("[-{digits}")),
            Err(JsonError::IntegerTooLong { digits: 4301, .. })
        ));
        assert!(scan(&format!("{digits}.0")).is_ok());
    }
}
