//! What the spawner tells the operator.

use codejail_protocol::spawn::SaidLevel;

/// Puts what the spawner says into the service's log.
pub fn log_said(level: SaidLevel, event: &str, text: &str) {
    match level {
        SaidLevel::Info => tracing::info!(event, "spawner: {text}"),
        SaidLevel::Warning => tracing::warn!(event, "spawner: {text}"),
        SaidLevel::Error => tracing::error!(event, "spawner: {text}"),
    }
}
