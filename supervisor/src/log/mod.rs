//! The log: one line on standard error for each event, as text or as JSON. A reload can change
//! which events are logged, and the form of the lines.

pub mod at_once;
pub mod filter;
pub mod format;
mod lines;
mod writer;

use crate::say;

use filter::FilterError;
use lines::Lines;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};
use writer::LogWriter;

/// The variable that counts instead of the configuration's level, unless it is empty.
const VARIABLE: &str = "RUST_LOG";

/// Whether lines are JSON. It is read for each line.
static JSON: AtomicBool = AtomicBool::new(false);
/// The handle by which the filter is replaced; none before the log begins.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Begins to log the events that this filter lets pass; if `RUST_LOG` is set, that filter counts
/// instead. An invalid filter is reported on standard error, and the level `error` is used.
pub fn start(level: &str, json: bool) {
    start_into(level, json, || LogWriter(io::stderr()));
}

/// The same for lines that do not go to standard error.
pub fn start_into<W: io::Write>(
    level: &str,
    json: bool,
    writer: impl Fn() -> W + Send + Sync + 'static,
) {
    JSON.store(json, Ordering::Relaxed);
    let (filter, refused) = match wanted(level) {
        Ok(filter) => (filter, None),
        // Only the variable's filter can be invalid: the configuration's filter is checked with the
        // other keys.
        Err(error) => (
            filter::parse(level).unwrap_or_else(|_| EnvFilter::new("error")),
            Some(error),
        ),
    };
    let (filter, handle) = reload::Layer::new(filter);
    let lines = Lines {
        json: &JSON,
        writer,
    };
    let begun = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init();
    if let Err(error) = begun {
        say::to_stderr(format_args!("codejail: the log can't begin: {error}"));
        return;
    }
    let _ = FILTER.set(handle);
    if let Some(error) = refused {
        tracing::warn!(
            event = "log_filter_refused",
            "{VARIABLE}: {error}; log.level counts"
        );
    }
}

/// From now on, logs what this filter lets pass, unless `RUST_LOG` counts; and in this form.
pub fn change(level: &str, json: bool) {
    JSON.store(json, Ordering::Relaxed);
    let Some(handle) = FILTER.get() else { return };
    match wanted(level).or_else(|_| filter::parse(level)) {
        // The subscriber lives as long as the process.
        Ok(filter) => drop(handle.reload(filter)),
        Err(error) => tracing::error!(event = "log_filter_refused", "log.level: {error}"),
    }
}

/// Whether `RUST_LOG` is set and not empty, so that `log.level` does not count.
#[must_use]
pub fn is_overridden() -> bool {
    variable().is_some()
}

fn variable() -> Option<String> {
    std::env::var(VARIABLE).ok().filter(|text| !text.is_empty())
}

fn wanted(level: &str) -> Result<EnvFilter, FilterError> {
    filter::parse(variable().as_deref().unwrap_or(level))
}
