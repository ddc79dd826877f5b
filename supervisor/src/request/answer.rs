//! Step 5: from an outcome or a fault to status and body. Only this file chooses them.
//! `answer_body.rs` decides how long a body is held.
//!
//! A run of the author's code is answered with 200 and `globals_dict`, even if the run failed:
//! without that key the client breaks. Our own faults are logged in full. The answer then has the
//! original's fixed text, also with status 200.

use crate::execution::{Captured, Outcome};
use crate::python_json::merge;
use crate::python_json::repr::bytes_repr;
use crate::python_json::scan::{self, JsonType, Raw};
use crate::request::admission::Refused;
use crate::request::answer_body::AnswerBody;
use crate::request::payload::Rejection;
use crate::request::refusal_log::RefusalLevel;
use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse;

/// What the author reads when the fault is ours.
const SEE_LOGS: &str = "Couldn't execute sandboxed code: See logs.";
/// What the author reads when standard output held something other than the answer.
const CORRUPTED: &str = "Sandboxed code produced corrupted stdout.";
/// What the original's framework answers to OPTIONS. Where the framework quotes its own code, we
/// use our own words.
const OPTIONS: &str = r#"{"name":"Code Exec","description":"Executes Python code in a sandbox and answers with its globals.","renders":["application/json"],"parses":["application/x-www-form-urlencoded","multipart/form-data"]}"#;
/// Seconds after which a client that was turned away may try again.
const RETRY_AFTER: &str = "1";

/// One answer, made for exactly one request.
#[derive(Debug)]
pub enum Answer {
    /// The run came to its end: the globals, merged, as JSON text.
    Success(String),
    /// The run failed: the input globals as they came, and the reason.
    Failure {
        /// JSON text of the input globals.
        globals: String,
        /// What the author reads.
        emsg: String,
    },
    /// The caller's mistake.
    Rejected(Rejection),
    /// The service is switched off.
    Disabled,
    /// The safety checks have not passed.
    Unsafe,
    /// No sandbox is free.
    Busy(Refused),
    /// The description of the path, for OPTIONS.
    Options,
    /// The method is not allowed.
    MethodNotAllowed(String),
    /// No such path.
    NotFound,
}

impl Answer {
    /// The answer to a run. `input` are the globals that came in.
    #[must_use]
    pub fn to_run(outcome: Outcome, input: Raw<'_>, output_bytes_max: usize) -> Self {
        let failure = |emsg: String| Self::Failure {
            globals: input.as_str().to_owned(),
            emsg,
        };
        match outcome {
            Outcome::Ended {
                status: 0, stdout, ..
            } => match merged(&stdout, input) {
                Ok(globals) => Self::Success(globals),
                Err(emsg) => failure(emsg),
            },
            Outcome::Ended {
                status,
                stdout,
                stderr,
                ..
            } => {
                let shown = |captured: &Captured| {
                    bytes_repr(&captured.bytes[..captured.bytes.len().min(output_bytes_max)])
                };
                failure(format!(
                    "Couldn't execute jailed code: stdout: {}, stderr: {} with status code: {status}",
                    shown(&stdout),
                    shown(&stderr)
                ))
            }
            Outcome::Unloadable(message) => Self::Rejected(Rejection::Unloadable(message)),
            Outcome::Unprepared(why) | Outcome::Lost(why) => {
                tracing::error!(event = "execution_lost", why, "an execution was lost");
                failure(SEE_LOGS.to_owned())
            }
        }
    }

    /// The answer for a fault of ours; the reason is in the log already.
    #[must_use]
    pub fn fault(input: Raw<'_>) -> Self {
        Self::Failure {
            globals: input.as_str().to_owned(),
            emsg: SEE_LOGS.to_owned(),
        }
    }

    /// The original's name for this in its telemetry.
    #[must_use]
    pub fn telemetry(&self) -> &'static str {
        match self {
            Self::Success(_) => "executed.success",
            Self::Failure { .. } => "executed.error",
            Self::Rejected(rejection) => rejection.telemetry(),
            Self::Disabled => "disabled.feature_switch",
            Self::Unsafe => "disabled.safety_checks_failed",
            Self::Busy(Refused::NoRoom) => "refused.no_room",
            Self::Busy(_) => "refused.busy",
            Self::Options => "options",
            Self::MethodNotAllowed(_) => "invalid.method",
            Self::NotFound => "invalid.path",
        }
    }

    /// The log's text for a refused request, in the original's words where it has some. It has no
    /// values of the payload, since those may be private.
    #[must_use]
    pub fn refusal(&self) -> Option<(RefusalLevel, String)> {
        use RefusalLevel::{Error, Warning};
        Some(match self {
            Self::Rejected(Rejection::Json(error)) => {
                (Error, format!("Payload was not valid JSON: {error}"))
            }
            Self::Rejected(Rejection::Unloadable(error)) => {
                (Error, format!("Payload was not valid JSON: {error}"))
            }
            Self::Rejected(Rejection::Schema(mismatch)) => {
                let at = mismatch.without_values();
                (
                    Error,
                    format!("Payload JSON did not match schema at path {at}"),
                )
            }
            Self::Rejected(Rejection::PythonPath(entry)) => (
                Error,
                format!("Unexpected python_path entries in request: {{{entry:?}}}"),
            ),
            Self::Rejected(Rejection::FileName(name)) => (
                Error,
                format!("Unexpected filenames in request: {{{name:?}}}"),
            ),
            Self::Rejected(rejection) => (Warning, bounded(&rejection.to_string())),
            Self::Busy(refused) => (Warning, refused.to_string()),
            Self::Disabled => (Warning, "Codejail service not enabled".to_owned()),
            Self::Unsafe => (
                Warning,
                "Codejail service is not correctly configured".to_owned(),
            ),
            Self::Success(_)
            | Self::Failure { .. }
            | Self::Options
            | Self::MethodNotAllowed(_)
            | Self::NotFound => return None,
        })
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Success(_) | Self::Failure { .. } | Self::Options => StatusCode::OK,
            Self::Rejected(Rejection::MediaType(_)) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Rejected(Rejection::TooLarge(_)) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Rejected(Rejection::Slow(_)) => StatusCode::REQUEST_TIMEOUT,
            Self::Rejected(_) => StatusCode::BAD_REQUEST,
            Self::Disabled | Self::Unsafe => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound => StatusCode::NOT_FOUND,
        }
    }

    /// About how many bytes the body takes while it is made.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Success(globals) => globals.len(),
            Self::Failure { globals, emsg } => globals.len() + emsg.len(),
            _ => 0,
        }
    }

    fn body(self) -> AnswerBody {
        let error = |text: &str| AnswerBody::of(format!("{{\"error\":{}}}", json_string(text)));
        let detail = |text: &str| AnswerBody::of(format!("{{\"detail\":{}}}", json_string(text)));
        match self {
            Self::Success(globals) => AnswerBody::around("{\"globals_dict\":", globals, "}"),
            Self::Failure { globals, emsg } => {
                let end = format!(",\"emsg\":{}}}", json_string(&emsg));
                AnswerBody::around("{\"globals_dict\":", globals, end)
            }
            Self::Rejected(rejection @ Rejection::MediaType(_)) => detail(&rejection.to_string()),
            Self::Rejected(rejection) => error(&rejection.to_string()),
            Self::Disabled => error("Codejail service not enabled"),
            Self::Unsafe => error("Codejail service is not correctly configured"),
            Self::Busy(refused) => error(&refused.to_string()),
            Self::Options => AnswerBody::of(OPTIONS.to_owned()),
            Self::MethodNotAllowed(method) => detail(&format!("Method \"{method}\" not allowed.")),
            Self::NotFound => detail("Not found."),
        }
    }

    /// Makes head and body.
    #[must_use]
    pub fn into_parts(self) -> (Response<()>, AnswerBody) {
        let retry = matches!(self, Self::Busy(_));
        let allow = matches!(self, Self::MethodNotAllowed(_) | Self::Options);
        let mut head = Response::new(());
        *head.status_mut() = self.status();
        let headers = head.headers_mut();
        let fixed = header::HeaderValue::from_static;
        headers.insert(header::CONTENT_TYPE, fixed("application/json"));
        if retry {
            headers.insert(header::RETRY_AFTER, fixed(RETRY_AFTER));
        }
        if allow {
            headers.insert(header::ALLOW, fixed("POST, OPTIONS"));
        }
        (head, self.body())
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response<Body> {
        let (head, body) = self.into_parts();
        head.map(|()| Body::new(body))
    }
}

/// The globals of a run that ended well: the whole standard output as one JSON object, merged over
/// the input. Otherwise the text that the author reads: for broken JSON as the original maps
/// `JSONDecodeError`, for anything else as it maps all other errors.
fn merged(stdout: &Captured, input: Raw<'_>) -> Result<String, String> {
    if stdout.cut {
        let length = stdout.bytes.len();
        return Err(format!(
            "Couldn't execute sandboxed code: The result is larger than {length} bytes."
        ));
    }
    let text = str::from_utf8(&stdout.bytes).map_err(|_| SEE_LOGS.to_owned())?;
    match scan::scan(text) {
        Ok(result) if result.kind() == JsonType::Object => Ok(merge::merge(input, result)),
        Err(scan::JsonError::Syntax { .. }) => Err(CORRUPTED.to_owned()),
        Ok(_) | Err(_) => Err(SEE_LOGS.to_owned()),
    }
}

/// A text that may hold what a client sent, on one line and bounded.
fn bounded(text: &str) -> String {
    const CHARACTERS_MAX: usize = 200;
    let beginning: String = text.chars().take(CHARACTERS_MAX).collect();
    format!("{beginning:?}")
}

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(status: i32, stdout: &[u8], stderr: &[u8]) -> Outcome {
        let captured = |bytes: &[u8]| Captured {
            bytes: bytes.to_vec(),
            cut: false,
        };
        Outcome::Ended {
            status,
            stdout: captured(stdout),
            stderr: captured(stderr),
            cold_imports: Vec::new(),
        }
    }

    fn body(outcome: Outcome) -> String {
        let input = scan::scan(r#"{"a": 1}"#).unwrap();
        Answer::to_run(outcome, input, 4).body().to_string()
    }

    #[test]
    fn a_result_is_merged_over_the_input() {
        assert_eq!(
            body(ended(0, b"{\"b\": 2}", b"")),
            r#"{"globals_dict":{"a":1,"b":2}}"#
        );
    }

    #[test]
    fn other_bytes_on_stdout_are_corruption_and_other_json_is_our_fault() {
        assert!(body(ended(0, b"hi{}", b"")).contains(CORRUPTED));
        assert!(body(ended(0, b"", b"")).contains(CORRUPTED));
        assert!(body(ended(0, b"[]", b"")).contains(SEE_LOGS));
        assert!(body(ended(0, b"\xff", b"")).contains(SEE_LOGS));
    }

    #[test]
    fn a_failure_shows_both_streams_cut_and_the_input_globals() {
        assert_eq!(
            body(ended(3, b"out", b"errors")),
            "{\"globals_dict\":{\"a\": 1},\"emsg\":\"Couldn't execute jailed code: \
             stdout: b'out', stderr: b'erro' with status code: 3\"}"
        );
    }
}
