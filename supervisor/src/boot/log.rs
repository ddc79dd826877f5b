//! The log: lines on standard error.

use std::io;
use tracing_subscriber::EnvFilter;

/// Logs go to standard error, filtered by `RUST_LOG`.
pub fn log_to_stderr(default_filter: &str) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default_filter));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .init();
}
