//! Checks the payload's shape. The result is the payload with typed fields, or the sentence with
//! which the original refuses such a payload.
//!
//! The original asks jsonschema's `best_match` which of all errors to report. For this one schema,
//! the order of the checks in [`check`] gives the same result; `tests/system/python_json/` compares
//! it with jsonschema itself. This file checks types only. Other files decide which values are
//! allowed.

use crate::python_json::repr;
use crate::python_json::scan::{JsonType, Raw, RawString};

/// A payload whose fields have the right types. They are slices of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload<'a> {
    /// The program, still as a JSON string: only the sandbox decodes it.
    pub code: RawString<'a>,
    /// The globals, still as a JSON object.
    pub globals_dict: Raw<'a>,
    /// An array of strings; none if absent or null.
    pub python_path: Option<Raw<'a>>,
    /// None if absent or null.
    pub limit_overrides_context: Option<RawString<'a>>,
    /// None if absent or null.
    pub slug: Option<RawString<'a>>,
    /// False if absent.
    pub unsafely: bool,
}

impl<'a> Payload<'a> {
    /// The entries of `python_path`; none if it is absent or null, which the original treats alike.
    pub fn python_path_entries(&self) -> impl Iterator<Item = RawString<'a>> {
        let entries = self.python_path.into_iter().flat_map(Raw::elements);
        // It was checked that all entries are strings.
        entries.filter_map(Raw::as_string)
    }
}

/// The end of jsonschema's sentence for a missing field.
const MISSING: &str = " is a required property";

/// The payload does not match the schema. `Display` gives the sentence for the caller, in
/// jsonschema's wording.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Payload JSON did not match schema at path {path}: {message}")]
pub struct SchemaMismatch {
    path: String,
    message: String,
}

impl SchemaMismatch {
    /// The mismatch without values of the payload, for the log.
    #[must_use]
    pub fn without_values(&self) -> String {
        let Self { path, message } = self;
        if message.ends_with(MISSING) {
            format!("{path}: {message}")
        } else {
            path.clone()
        }
    }
}

/// Checks the types of the payload. Keys that the schema does not name are ignored. If a key is
/// repeated, the last value counts.
///
/// # Errors
/// The one mismatch that jsonschema's `best_match` would pick. A mismatch of the whole payload
/// comes first. Then comes the wrong field whose name is *last* in the alphabet, since `best_match`
/// compares the errors' paths and takes the greatest path. In `python_path` it is the *first* wrong
/// entry, since of the errors of an `anyOf` it takes those with the longest path, and of these the
/// one with the least index.
pub fn check(payload: Raw<'_>) -> Result<Payload<'_>, SchemaMismatch> {
    if payload.kind() != JsonType::Object {
        return Err(not_of_type("$", payload, "object"));
    }
    let fields = Fields::of(payload);
    let code = fields.code.ok_or_else(|| missing("code"))?;
    let globals_dict = fields.globals_dict.ok_or_else(|| missing("globals_dict"))?;
    // The fields are evaluated in this order, so this is the order in which errors are reported.
    Ok(Payload {
        unsafely: boolean_or_false("$.unsafely", fields.unsafely)?,
        slug: string_or_null("$.slug", fields.slug)?,
        python_path: strings_or_null("$.python_path", fields.python_path)?,
        limit_overrides_context: string_or_null(
            "$.limit_overrides_context",
            fields.limit_overrides_context,
        )?,
        globals_dict: object("$.globals_dict", globals_dict)?,
        code: code
            .as_string()
            .ok_or_else(|| not_of_type("$.code", code, "string"))?,
    })
}

/// The values of the fields that the schema names.
#[derive(Default)]
struct Fields<'a> {
    code: Option<Raw<'a>>,
    globals_dict: Option<Raw<'a>>,
    python_path: Option<Raw<'a>>,
    limit_overrides_context: Option<Raw<'a>>,
    slug: Option<Raw<'a>>,
    unsafely: Option<Raw<'a>>,
}

impl<'a> Fields<'a> {
    fn of(payload: Raw<'a>) -> Self {
        let mut fields = Self::default();
        for (key, value) in payload.members() {
            let field = match key.decode().as_ref() {
                b"code" => &mut fields.code,
                b"globals_dict" => &mut fields.globals_dict,
                b"python_path" => &mut fields.python_path,
                b"limit_overrides_context" => &mut fields.limit_overrides_context,
                b"slug" => &mut fields.slug,
                b"unsafely" => &mut fields.unsafely,
                _ => continue,
            };
            *field = Some(value);
        }
        fields
    }
}

fn boolean_or_false(path: &str, field: Option<Raw<'_>>) -> Result<bool, SchemaMismatch> {
    let Some(value) = field else { return Ok(false) };
    match value.kind() {
        JsonType::True => Ok(true),
        JsonType::False => Ok(false),
        _ => Err(not_of_type(path, value, "boolean")),
    }
}

fn string_or_null<'a>(
    path: &str,
    field: Option<Raw<'a>>,
) -> Result<Option<RawString<'a>>, SchemaMismatch> {
    let Some(value) = not_null(field) else {
        return Ok(None);
    };
    match value.as_string() {
        Some(string) => Ok(Some(string)),
        None => Err(no_alternative_fits(path, value)),
    }
}

/// Checks the entries. It does not collect them, because there may be millions.
fn strings_or_null<'a>(
    path: &str,
    field: Option<Raw<'a>>,
) -> Result<Option<Raw<'a>>, SchemaMismatch> {
    let Some(value) = not_null(field) else {
        return Ok(None);
    };
    if value.kind() != JsonType::Array {
        return Err(no_alternative_fits(path, value));
    }
    let is_string = |entry: Raw<'_>| entry.kind() == JsonType::String;
    match value
        .elements()
        .enumerate()
        .find(|entry| !is_string(entry.1))
    {
        Some((index, entry)) => Err(not_of_type(&format!("{path}[{index}]"), entry, "string")),
        None => Ok(Some(value)),
    }
}

fn object<'a>(path: &str, value: Raw<'a>) -> Result<Raw<'a>, SchemaMismatch> {
    if value.kind() == JsonType::Object {
        Ok(value)
    } else {
        Err(not_of_type(path, value, "object"))
    }
}

fn not_null(field: Option<Raw<'_>>) -> Option<Raw<'_>> {
    field.filter(|value| value.kind() != JsonType::Null)
}

fn missing(name: &str) -> SchemaMismatch {
    mismatch("$", format!("'{name}'{MISSING}"))
}

fn not_of_type(path: &str, value: Raw<'_>, name: &str) -> SchemaMismatch {
    mismatch(
        path,
        format!("{} is not of type '{name}'", repr::repr(value)),
    )
}

fn no_alternative_fits(path: &str, value: Raw<'_>) -> SchemaMismatch {
    mismatch(
        path,
        format!(
            "{} is not valid under any of the given schemas",
            repr::repr(value)
        ),
    )
}

fn mismatch(path: &str, message: String) -> SchemaMismatch {
    SchemaMismatch {
        path: path.to_owned(),
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python_json::scan::scan;

    fn message(text: &str) -> String {
        let refused = check(scan(text).unwrap()).expect_err(text).to_string();
        refused
            .strip_prefix("Payload JSON did not match schema at path ")
            .unwrap()
            .to_owned()
    }

    #[test]
    fn a_full_payload_gives_its_fields() {
        let text = r#"{"code":"x=1","globals_dict":{"a":NaN},"python_path":["python_lib.zip"],
            "more":[],"limit_overrides_context":"course","slug":"\u00e9","unsafely":true}"#;
        let payload = check(scan(text).unwrap()).unwrap();
        assert_eq!(payload.code.as_str(), "\"x=1\"");
        assert_eq!(payload.globals_dict.as_str(), "{\"a\":NaN}");
        let path: Vec<_> = payload.python_path_entries().collect();
        assert_eq!(path.len(), 1);
        assert_eq!(path[0].as_str(), "\"python_lib.zip\"");
        let context = payload.limit_overrides_context.unwrap();
        assert_eq!(context.as_str(), "\"course\"");
        assert_eq!(&*payload.slug.unwrap().decode(), "é".as_bytes());
        assert!(payload.unsafely);
    }

    #[test]
    fn null_is_as_good_as_absent_where_it_is_allowed() {
        let short = check(scan(r#"{"code":"","globals_dict":{}}"#).unwrap()).unwrap();
        let nulls = r#"{"python_path":null,"limit_overrides_context":null,"slug":null,
            "code":"","globals_dict":{}}"#;
        assert_eq!(check(scan(nulls).unwrap()).unwrap(), short);
    }

    #[test]
    fn mismatches_are_worded_as_by_jsonschema() {
        let with = |field: &str| format!(r#"{{"code":"","globals_dict":{{}},{field}}}"#);
        for (text, expected) in [
            ("[]", "$: [] is not of type 'object'"),
            ("{}", "$: 'code' is a required property"),
            (r#"{"code":5}"#, "$: 'globals_dict' is a required property"),
            (
                r#"{"code":5,"globals_dict":{}}"#,
                "$.code: 5 is not of type 'string'",
            ),
            (
                &with(r#""slug":5"#),
                "$.slug: 5 is not valid under any of the given schemas",
            ),
            (
                &with(r#""python_path":{}"#),
                "$.python_path: {} is not valid under any of the given schemas",
            ),
            (
                &with(r#""python_path":["",5,6]"#),
                "$.python_path[1]: 5 is not of type 'string'",
            ),
            (
                &with(r#""unsafely":null"#),
                "$.unsafely: None is not of type 'boolean'",
            ),
        ] {
            assert_eq!(message(text), expected, "{text}");
        }
    }

    #[test]
    fn of_several_mismatches_the_last_in_the_alphabet_is_reported() {
        let text = r#"{"code":5,"globals_dict":5,"limit_overrides_context":5,
            "python_path":5,"slug":5,"unsafely":5}"#;
        assert_eq!(message(text), "$.unsafely: 5 is not of type 'boolean'");
        assert_eq!(
            message(r#"{"code":5,"globals_dict":"it's"}"#),
            r#"$.globals_dict: "it's" is not of type 'object'"#
        );
    }

    #[test]
    fn the_last_of_a_repeated_key_counts() {
        assert!(check(scan(r#"{"code":5,"globals_dict":{},"c\u006fde":""}"#).unwrap()).is_ok());
        assert!(check(scan(r#"{"code":"","globals_dict":{},"code":5}"#).unwrap()).is_err());
    }
}
