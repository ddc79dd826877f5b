//! Gives any text to the scanner, the schema, `repr` and the merge. None of them panics. If the
//! scanner accepts a value, it also accepts each part of that value alone. Merging the same result
//! a second time changes nothing. The tests in `tests/system/python_json` compare with CPython what
//! the scanner accepts.

#![no_main]

use codejail::python_json::scan::{Raw, scan};
use codejail::python_json::{merge as globals_merge, repr as python_repr, schema as payload_schema};
use libfuzzer_sys::fuzz_target;

/// Parts of parts are scanned down to this level. Each level reads the text once more.
const LEVELS_MAX: usize = 5;

fuzz_target!(|text: &str| {
    // A zero byte is not legal anywhere in JSON, so it can divide the input's two values.
    let (input, result) = text.split_once('\0').unwrap_or((text, "{}"));
    let Ok(input) = scan(input).inspect_err(|error| drop(error.to_string())) else {
        return;
    };
    look_at_parts(input, LEVELS_MAX);
    assert!(!python_repr::repr(input).is_empty());
    _ = payload_schema::check(input).map_err(|mismatch| mismatch.to_string());

    if let Ok(result) = scan(result) {
        let merged = globals_merge::merge(input, result);
        let again = globals_merge::merge(scan(&merged).expect("a merge is JSON"), result);
        assert!(
            scan(&again)
                .expect("a merge is JSON")
                .members()
                .eq(scan(&merged).unwrap().members())
        );
    }
});

fn look_at_parts(value: Raw<'_>, levels: usize) {
    assert_eq!(scan(value.as_str()), Ok(value));
    if let Some(string) = value.as_string() {
        assert!(string.decode().len() <= value.as_str().len());
    }
    if levels > 0 {
        value
            .elements()
            .for_each(|element| look_at_parts(element, levels - 1));
        for (key, value) in value.members() {
            assert!(scan(key.as_str()).is_ok_and(|key| key.as_string().is_some()));
            look_at_parts(value, levels - 1);
        }
    }
}
