//! How deep a JSON text is nested.

/// Levels of arrays and objects; `[]` is one level. The result means nothing if the text is not
/// JSON.
pub fn json_depth(text: &[u8]) -> usize {
    let mut deepest = 0;
    let mut open = 0_usize;
    let mut in_string = false;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            // The next byte is a part of the string, even if it is a quotation mark.
            b'\\' if in_string => drop(bytes.next()),
            b'[' | b'{' if !in_string => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' if !in_string => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::json_depth;

    #[test]
    fn brackets_count_outside_of_strings_only() {
        for (text, depth) in [
            ("1", 0),
            ("{}", 1),
            (r#"{"a": [1, [2]], "b": [3]}"#, 3),
            (r#"{"a": "[[[[", "b\\\"{{": "\\\\"}"#, 1),
            (r#"["]]]]", [["\\"], []], "}"]"#, 3),
        ] {
            assert_eq!(json_depth(text.as_bytes()), depth, "{text}");
        }
    }
}
