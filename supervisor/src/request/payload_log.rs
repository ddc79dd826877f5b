//! What `log.payloads` adds to the log: code, globals and answer of each execution, bounded. No
//! other part of the service logs these.

use super::answer::Answer;
use super::payload::CodeExec;

/// Bytes that are logged of each text. A problem's code has some thousands.
const BYTES_MAX: usize = 16 * 1024;

/// Logs an execution's code, globals and answer.
pub fn say(code_exec: &CodeExec<'_>, answer: &Answer, request_id: &str) {
    let (globals, emsg) = match answer {
        Answer::Success(globals) => (Some(globals.as_str()), None),
        Answer::Failure { emsg, .. } => (None, Some(emsg.as_str())),
        _ => (None, None),
    };
    tracing::info!(
        target: "codejail::exec",
        {
            event = "execution_payload",
            request_id,
            code = cut(code_exec.code),
            globals = cut(code_exec.globals.as_str()),
            result = globals.map(cut),
            emsg = emsg.map(cut),
        },
        "log.payloads: what was executed"
    );
}

/// The beginning of a text.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(BYTES_MAX)]
}
