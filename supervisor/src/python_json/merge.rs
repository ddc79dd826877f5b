//! The globals of an answer: the caller's own globals, with the run's result over them.
//!
//! The original does `input.update(result)` on dicts. This file does it on texts. Values are copied
//! as they are written and never decoded. So Python reads exactly what Python wrote.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::python_json::scan::{Raw, RawString};

/// The text of the object that Python would have after `d = loads(input); d.update(loads(result))`.
/// Values and types are equal; the order of keys may differ. A text that is not an object counts as
/// an empty one.
///
/// Repeated keys stay repeated and in their order, so the last one still counts when the text is
/// read. The time is linear in both texts. The memory, beside the answer, is linear in the shorter
/// one. A key is copied for comparison only if it has an escape.
pub fn merge(input: Raw<'_>, result: Raw<'_>) -> String {
    let replaced = replaced(input, result);
    let kept = input
        .members()
        .filter(|(key, _)| !replaced.contains(key.decode().as_ref()));
    // Each member is copied as it is, and one comma joins the two.
    let mut merged = String::with_capacity(input.as_str().len() + result.as_str().len());
    merged.push('{');
    for (key, value) in kept.chain(result.members()) {
        push_member(&mut merged, key, value);
    }
    merged.push('}');
    merged
}

/// The keys of the input that the result has too. The set may hold other keys of the result.
fn replaced<'a>(input: Raw<'a>, result: Raw<'a>) -> HashSet<Cow<'a, [u8]>> {
    let keys = |object: Raw<'a>| object.members().map(|(key, _)| key.decode());
    if result.as_str().len() <= input.as_str().len() {
        return keys(result).collect();
    }
    let of_input: HashSet<Cow<'_, [u8]>> = keys(input).collect();
    keys(result).filter(|key| of_input.contains(key)).collect()
}

fn push_member(object: &mut String, key: RawString<'_>, value: Raw<'_>) {
    if object.len() > 1 {
        object.push(',');
    }
    object.push_str(key.as_str());
    object.push(':');
    object.push_str(value.as_str());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python_json::scan::scan;

    fn merged(input: &str, result: &str) -> String {
        merge(scan(input).unwrap(), scan(result).unwrap())
    }

    #[test]
    fn the_result_wins_and_what_it_lacks_is_kept() {
        assert_eq!(
            merged(r#"{"a": 1, "b": NaN}"#, r#"{ "c":[1, 2] , "a":2 }"#),
            r#"{"b":NaN,"c":[1, 2],"a":2}"#
        );
    }

    #[test]
    fn either_side_may_be_empty() {
        assert_eq!(merged("{}", "{ }"), "{}");
        assert_eq!(merged(r#"{"a":1}"#, "{}"), r#"{"a":1}"#);
        assert_eq!(merged("{}", r#"{"a":1}"#), r#"{"a":1}"#);
    }

    #[test]
    fn a_long_result_replaces_as_a_short_one_does() {
        let long = "x".repeat(100);
        for result in [
            r#"{"b":3,"c":4}"#.to_owned(),
            format!(r#"{{"b":"{long}"}}"#),
        ] {
            let merged = merged(r#"{"a": 1, "b": 2}"#, &result);
            assert_eq!(merged, format!(r#"{{"a":1,{}"#, &result[1..]));
        }
    }

    #[test]
    fn keys_are_compared_as_python_strings() {
        assert_eq!(
            merged(
                r#"{"\ud83d\ude00":1,"\u0061":2,"\ud83d":3}"#,
                "{\"\u{1f600}\":4,\"a\":5}"
            ),
            "{\"\\ud83d\":3,\"\u{1f600}\":4,\"a\":5}"
        );
    }

    #[test]
    fn the_last_of_repeated_keys_still_comes_last() {
        assert_eq!(
            merged(r#"{"a":1,"b":1,"a":2}"#, r#"{"b":2,"b":3}"#),
            r#"{"a":1,"a":2,"b":2,"b":3}"#
        );
    }
}
