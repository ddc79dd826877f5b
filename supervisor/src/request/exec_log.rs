//! What the log says of a request, with the caller's texts bounded.

use super::answer::Answer;
use super::payload::CodeExec;
use crate::python_json::scan::RawString;
use std::time::Duration;

/// One event for each execution, with the original's telemetry names: what is no label of a metric, since a
/// caller chooses it.
pub fn log_execution(code_exec: &CodeExec<'_>, answer: &Answer, elapsed: Duration) {
    tracing::debug!(
        target: "codejail::exec",
        {
            codejail.exec.status = answer.telemetry(),
            codejail.exec.limit_override = short(code_exec.limit_overrides_context),
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
    short(code_exec.slug)
}

/// A caller's text, bounded, for a log line.
fn short(text: Option<RawString<'_>>) -> String {
    const CHARACTERS_MAX: usize = 200;
    let code_points = text.into_iter().flat_map(RawString::code_points);
    let shown = |code_point| char::from_u32(code_point).unwrap_or(char::REPLACEMENT_CHARACTER);
    code_points.take(CHARACTERS_MAX).map(shown).collect()
}
