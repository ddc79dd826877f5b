//! What Prometheus reads at `/metrics`. Label values come from fixed lists in the code and from the names of
//! what is installed in the sandbox venv, never from a request.

use codejail_protocol::control::Hello;
use codejail_protocol::job::COLD_IMPORTS_MAX;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// Bucket bounds in seconds, for waits and runs from a tenth of a millisecond to the client's limit.
const SECONDS: &[f64] = &[
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0,
];

const HISTOGRAMS: &[(&str, &str)] = &[
    ("codejail_request_seconds", "From request to answer"),
    ("codejail_queue_wait_seconds", "Waiting for a sandbox"),
    ("codejail_execution_seconds", "From job to answer"),
    (
        "codejail_worker_warm_up_seconds",
        "Launch and preload of a worker",
    ),
];

const COUNTERS: &[(&str, &str)] = &[
    (
        "codejail_requests_total",
        "Requests by codejail.exec.status",
    ),
    (
        "codejail_worker_failures_total",
        "Workers that were lost or could not start",
    ),
    (
        "codejail_executions_cpu_microseconds_total",
        "CPU time that sandboxes used",
    ),
    (
        "codejail_sandbox_failures_total",
        "Sandboxes that could not take their job",
    ),
    (
        "codejail_scratch_failures_total",
        "Directories and seats of executions that could not be emptied",
    ),
    (
        "codejail_cold_imports_total",
        "Executions that imported a library of the sandbox venv that is not preloaded, by module",
    ),
    (
        "codejail_library_cache_hits_total",
        "Executions whose library's bytecode was there",
    ),
    (
        "codejail_library_cache_misses_total",
        "Executions whose library's bytecode was not",
    ),
    (
        "codejail_library_cache_compiled_total",
        "Libraries compiled",
    ),
    (
        "codejail_library_cache_failed_total",
        "Libraries that could not be compiled",
    ),
    (
        "codejail_library_cache_evicted_total",
        "Libraries evicted from the cache",
    ),
    (
        "codejail_library_cache_postponed_total",
        "Compilations for which there was no time",
    ),
    (
        "codejail_log_lines_lost_total",
        "Lines of the log that could not be written to standard error",
    ),
    (
        "codejail_peers_refused_total",
        "Requests from addresses that are not in peers.api or peers.metrics, by list",
    ),
    (
        "codejail_python_changes_total",
        "Changes of Python's files in place, each with the upgrade that it is a part of",
    ),
    (
        "codejail_startup_check_failures_total",
        "Startup checks that failed, in any worker or of the service",
    ),
];

const GAUGES: &[(&str, &str)] = &[
    ("codejail_workers", "Workers that serve or drain"),
    ("codejail_sandboxes_ready", "Sandboxes that wait for a job"),
    ("codejail_connections", "Connections that are open"),
    (
        "codejail_bodies_bytes",
        "What bodies and answers take of bodies_bytes_max",
    ),
    ("codejail_queue_length", "Requests that wait for a sandbox"),
    (
        "codejail_library_cache_bytes",
        "Bytecode of libraries, in bytes",
    ),
    (
        "codejail_startup_check",
        "1 for a startup check that passed",
    ),
];

/// How often recorded values go into their histograms. Until then each takes 16 bytes, and two cores
/// refuse 80,000 requests a second.
const UPKEEP_EVERY: Duration = Duration::from_secs(1);

/// Lines of the log that could not be written. The log begins before the recorder is there.
static LOST_LOG_LINES: AtomicU64 = AtomicU64::new(0);

/// Counts a line of the log that could not be written.
pub fn count_lost_log_line() {
    LOST_LOG_LINES.fetch_add(1, Ordering::Relaxed);
}

/// How many lines of the log could not be written.
pub fn lost_log_lines() -> u64 {
    LOST_LOG_LINES.load(Ordering::Relaxed)
}

/// Puts recorded values into their histograms for ever. A scrape does the same, but maybe nobody
/// scrapes.
pub async fn keep_up(handle: PrometheusHandle) {
    loop {
        sleep(UPKEEP_EVERY).await;
        handle.run_upkeep();
    }
}

/// Installs the recorder; metrics of the whole process go there.
///
/// # Errors
/// One is installed already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .install_recorder()?;
    for (name, what) in HISTOGRAMS {
        metrics::describe_histogram!(*name, metrics::Unit::Seconds, *what);
    }
    for (name, what) in COUNTERS {
        metrics::describe_counter!(*name, *what);
    }
    for (name, what) in GAUGES {
        metrics::describe_gauge!(*name, *what);
    }
    Ok(handle)
}

/// Counts the libraries that a run says it had to import cold. A run can say anything: what no worker has
/// found in the sandbox venv is passed over, and so is what is said twice or beyond the bound, so that the
/// worst is a wrong count of a library that is there.
pub fn count_cold_imports(said: &[String], worker: Option<&Hello>) {
    let Some(hello) = worker else { return };
    let mut counted: Vec<&str> = Vec::new();
    for module in said.iter().take(COLD_IMPORTS_MAX) {
        if hello.libraries.contains(module) && !counted.contains(&module.as_str()) {
            counted.push(module);
            metrics::counter!("codejail_cold_imports_total", "module" => module.clone())
                .increment(1);
        }
    }
}
