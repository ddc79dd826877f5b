//! The spawner's messages to the operator.

use codejail_protocol::spawn::SaidLevel;

/// Writes a message of the spawner to the service's log.
pub fn log_said(level: SaidLevel, event: &str, text: &str) {
    match level {
        SaidLevel::Info => tracing::info!(event, "spawner: {text}"),
        SaidLevel::Warning => tracing::warn!(event, "spawner: {text}"),
        SaidLevel::Error => tracing::error!(event, "spawner: {text}"),
    }
}
