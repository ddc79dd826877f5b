//! Step 1: from the request's body to a job. This file decides every 400 of the original. It never
//! waits: the body has been read, and for a long body the caller provides a thread.

use crate::python_json::scan::{JsonError, Raw, RawString, scan};
use crate::python_json::schema::{self, SchemaMismatch};
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, header::CONTENT_TYPE};
use memchr::{memchr, memrchr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// The only file that a request may bring, and the only entry that `python_path` may have.
const PYTHON_LIB: &str = "python_lib.zip";

/// The only field of the form that is read.
const PAYLOAD: &str = "payload";
/// Bytes of the field's name if each letter is written like `%70`.
const NAME_BYTES_MAX: usize = 3 * PAYLOAD.len();

/// Parts of a multipart body that are looked at; the client sends two.
const PARTS_MAX: usize = 1000;

/// Characters of a caller's text that a line of the log has.
const SHOWN_CHARACTERS_MAX: usize = 200;

/// A caller's text, bounded, for a line of the log.
#[must_use]
pub fn shortened(text: RawString<'_>) -> String {
    let raw = text.between_quotes();
    if raw.len() <= SHOWN_CHARACTERS_MAX && !raw.contains('\\') {
        return raw.to_owned();
    }
    let shown = |code_point| char::from_u32(code_point).unwrap_or(char::REPLACEMENT_CHARACTER);
    let code_points = text.code_points().take(SHOWN_CHARACTERS_MAX);
    code_points.map(shown).collect()
}

/// The caller's mistake. Its text goes to the caller as it is.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// The content type is neither form encoding.
    #[error("Unsupported media type \"{0}\" in request.")]
    MediaType(String),
    /// The body is too long.
    #[error("Request body is larger than {0} bytes")]
    TooLarge(usize),
    /// The body took longer than this many milliseconds.
    #[error("Request body did not come within {0} ms")]
    Slow(u64),
    /// The body is not what its content type says, or ended early.
    #[error("Unable to read the request body: {0}")]
    Body(String),
    /// No field `payload`.
    #[error("Missing 'payload' parameter in POST body")]
    Missing,
    /// Not JSON, or JSON that Python refuses to load.
    #[error("Unable to parse payload JSON: {0}")]
    Json(#[from] JsonError),
    /// JSON of another shape.
    #[error("{0}")]
    Schema(#[from] SchemaMismatch),
    /// `python_path` has an entry that is not the library: the first such entry, for the log.
    #[error("Only allowed entry in 'python_path' is 'python_lib.zip'")]
    PythonPath(String),
    /// A file that is not the library: its name, for the log.
    #[error("Only allowed name for uploaded file is 'python_lib.zip'")]
    FileName(String),
    /// The payload asks for a run without a sandbox.
    #[error("Refusing codejail execution with unsafely=true")]
    Unsafely,
    /// Python's `json` in the sandbox refused the code or the globals.
    #[error("Unable to parse payload JSON: {0}")]
    Unloadable(String),
}

impl Rejection {
    /// The original's name for this in its telemetry.
    #[must_use]
    pub fn telemetry(&self) -> &'static str {
        match self {
            Self::MediaType(_) => "invalid.media_type",
            Self::TooLarge(_) => "invalid.too_large",
            Self::Slow(_) => "invalid.too_slow",
            Self::Body(_) => "invalid.body",
            Self::Missing => "invalid.payload.missing",
            Self::Json(_) | Self::Unloadable(_) => "invalid.payload.bad_json",
            Self::Schema(_) => "invalid.payload.schema_mismatch",
            Self::PythonPath(_) => "invalid.python_path",
            Self::FileName(_) => "invalid.files",
            Self::Unsafely => "invalid.unsafely",
        }
    }
}

/// The relevant parts of a form in either encoding.
#[derive(Debug, Default)]
pub struct Form {
    payload: Option<String>,
    /// The last part of each name counts; only one name is allowed.
    python_lib: Option<Bytes>,
    other_file: Option<String>,
}

/// A request that may be executed; borrows from the form.
#[derive(Debug)]
pub struct CodeExec<'a> {
    /// JSON text of the code.
    pub code: &'a str,
    /// The input globals.
    pub globals: Raw<'a>,
    /// Whether the library goes on the path.
    pub python_path: bool,
    /// The library.
    pub python_lib: Option<&'a [u8]>,
    /// The name that picks the limits.
    pub limit_overrides_context: Option<RawString<'a>>,
    /// For logs.
    pub slug: Option<RawString<'a>>,
}

/// How a form is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-www-form-urlencoded`
    Urlencoded,
    /// `multipart/form-data`
    Multipart,
    /// There is no body.
    Nothing,
}

/// How the form is written, by the request's head.
///
/// # Errors
/// The content type is neither of the two.
pub fn encoding(headers: &HeaderMap) -> Result<Encoding, Rejection> {
    let content_type = content_type(headers);
    match media_type(&content_type).as_str() {
        "application/x-www-form-urlencoded" => Ok(Encoding::Urlencoded),
        "multipart/form-data" => Ok(Encoding::Multipart),
        "" if headers
            .get("content-length")
            .is_none_or(|length| length == "0") =>
        {
            Ok(Encoding::Nothing)
        }
        _ => Err(Rejection::MediaType(content_type)),
    }
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
}

/// The media type without parameters, in lower case, since case does not matter (RFC 9110, 8.3.1).
fn media_type(content_type: &str) -> String {
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.trim().to_ascii_lowercase()
}

/// Takes a body apart.
///
/// # Errors
/// The body is not what its content type says.
pub fn form(encoding: Encoding, head: Parts, body: Vec<u8>) -> Result<Form, Rejection> {
    match encoding {
        Encoding::Urlencoded => Ok(urlencoded(&body)),
        Encoding::Multipart => {
            let request = Request::from_parts(head, Body::from(body));
            // The whole body is in memory, so there is nothing to wait for.
            let mut context = Context::from_waker(Waker::noop());
            match pin!(multipart(request)).poll(&mut context) {
                Poll::Ready(form) => form,
                Poll::Pending => Err(Rejection::Body("it is not whole".to_owned())),
            }
        }
        Encoding::Nothing => Ok(Form::default()),
    }
}

/// Only the value of the last field `payload` is decoded. Of other fields at most the name is
/// decoded, since they may be long.
fn urlencoded(body: &[u8]) -> Form {
    let is_payload = |field: &&[u8]| {
        // A longer name is not `payload`, however it is written.
        let beginning = &field[..field.len().min(NAME_BYTES_MAX + 1)];
        let end = memchr(b'=', beginning).unwrap_or(beginning.len());
        let is_short = end <= NAME_BYTES_MAX;
        is_short && form_urlencoded::parse(&field[..end]).any(|(name, _)| name == PAYLOAD)
    };
    let field = last_first(body).find(is_payload);
    let pair = field.and_then(|field| form_urlencoded::parse(field).next());
    Form {
        payload: pair.map(|(_, value)| value.into_owned()),
        ..Form::default()
    }
}

/// The fields of a form, from the last to the first.
fn last_first(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut remainder = Some(body);
    std::iter::from_fn(move || {
        let fields = remainder?;
        let start = memrchr(b'&', fields).map_or(0, |at| at + 1);
        remainder = start.checked_sub(1).map(|end| &fields[..end]);
        Some(&fields[start..])
    })
}

async fn multipart(request: Request<Body>) -> Result<Form, Rejection> {
    let broken = |error: &dyn std::fmt::Display| Rejection::Body(error.to_string());
    let mut multipart = Multipart::from_request(request, &())
        .await
        .map_err(|error| broken(&error))?;
    let mut form = Form::default();
    for _ in 0..PARTS_MAX {
        let Some(field) = multipart
            .next_field()
            .await
            .map_err(|error| broken(&error))?
        else {
            return Ok(form);
        };
        let name = field.name().unwrap_or_default().to_owned();
        let is_file = field.file_name().is_some();
        let bytes = field.bytes().await.map_err(|error| broken(&error))?;
        match (is_file, name.as_str()) {
            (true, PYTHON_LIB) => form.python_lib = Some(bytes),
            (true, _) => form.other_file = Some(name),
            (false, PAYLOAD) => {
                form.payload = Some(String::from_utf8_lossy(&bytes).into_owned());
            }
            (false, _) => {}
        }
    }
    Err(Rejection::Body(format!("more than {PARTS_MAX} parts")))
}

impl Form {
    /// A form as the service's own startup check posts it.
    #[must_use]
    pub fn of_payload(payload: String) -> Self {
        Self {
            payload: Some(payload),
            ..Self::default()
        }
    }

    /// The same with a library, as `codejail run` posts it.
    #[must_use]
    pub fn with_python_lib(self, library: Bytes) -> Self {
        Self {
            python_lib: Some(library),
            ..self
        }
    }

    /// Bytes that the form holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let payload = self.payload.as_ref().map_or(0, String::len);
        payload + self.python_lib.as_ref().map_or(0, Bytes::len)
    }

    /// Checks the form, in the original's order.
    ///
    /// # Errors
    /// The first fault of the form.
    pub fn check(&self) -> Result<CodeExec<'_>, Rejection> {
        let text = self.payload.as_deref().ok_or(Rejection::Missing)?;
        let payload = schema::check(scan(text)?)?;
        let is_allowed = |entry: RawString<'_>| *entry.decode() == *PYTHON_LIB.as_bytes();
        let mut entries = payload.python_path_entries();
        if let Some(other) = entries.find(|entry| !is_allowed(*entry)) {
            return Err(Rejection::PythonPath(shortened(other)));
        }
        if let Some(name) = &self.other_file {
            let name = name.chars().take(SHOWN_CHARACTERS_MAX).collect();
            return Err(Rejection::FileName(name));
        }
        if payload.unsafely {
            return Err(Rejection::Unsafely);
        }
        Ok(CodeExec {
            code: payload.code.as_str(),
            globals: payload.globals_dict,
            python_path: payload.python_path_entries().next().is_some(),
            python_lib: self.python_lib.as_deref(),
            limit_overrides_context: payload.limit_overrides_context,
            slug: payload.slug,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(body: &str) -> Option<String> {
        urlencoded(body.as_bytes()).payload
    }

    #[test]
    fn of_a_form_the_last_payload_counts_however_its_name_is_written() {
        for (body, expected) in [
            ("payload=1", Some("1")),
            ("payload=1&payload=2&other=3&&", Some("2")),
            ("payload=1&%70%61%79%6C%6f%61%64=%7B+%7D", Some("{ }")),
            ("payload=a=b", Some("a=b")),
            ("payload", Some("")),
            ("payload=", Some("")),
            ("=payload&payloads=1&Payload=2", None),
            ("", None),
        ] {
            assert_eq!(payload(body).as_deref(), expected, "{body}");
        }
    }
}
