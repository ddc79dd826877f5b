//! What the log says of a request, with the caller's texts bounded.

use super::answer::Answer;
use super::payload::CodeExec;
use std::time::Duration;

/// One event for each execution, with the original's telemetry names: what is no label of a metric, since a
/// caller chooses it.
pub fn log_execution(code_exec: &CodeExec<'_>, answer: &Answer, elapsed: Duration) {
    tracing::debug!(
        target: "codejail::exec",
        {
            codejail.exec.status = answer.telemetry(),
            codejail.exec.limit_override = short(code_exec.limit_overrides_context.as_deref()),
            codejail.exec.python_path_len = u8::from(code_exec.python_path),
            codejail.exec.files_count = u8::from(code_exec.python_lib.is_some()),
            codejail.exec.slug = slug(code_exec),
            ?elapsed,
        },
        "executed"
    );
}

/// The caller's description of the problem.
pub fn slug(code_exec: &CodeExec<'_>) -> String {
    short(code_exec.slug.as_deref())
}

/// A caller's text, bounded, for a log line.
fn short(text: Option<&[u8]>) -> String {
    const BYTES_MAX: usize = 200;
    let text = text.unwrap_or_default();
    String::from_utf8_lossy(&text[..text.len().min(BYTES_MAX)]).into_owned()
}
