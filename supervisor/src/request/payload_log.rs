//! What `log.payloads` adds to the log: code, globals and answer of each execution, bounded.
//! Nothing else in this service logs any of them.

use super::answer::Answer;
use super::payload::CodeExec;

/// Bytes of each that are logged: a problem's code has some thousands.
const BYTES_MAX: usize = 16 * 1024;

/// Logs what was executed, and what came of it.
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
