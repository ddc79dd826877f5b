//! Metrics that are counted when an event happens. Values that are read when Prometheus asks are in
//! `scrape/`.
//!
//! Values of labels come from the lists in `labels.rs`, from the names of the libraries in the
//! sandbox venv, and from the contexts that the configuration names. They never come from a
//! request.

pub mod labels;
mod recorded;
pub mod table;

pub use recorded::{Done, executed, refused, request, sandbox_taken, unprepared};

use codejail_protocol::control::Hello;
use codejail_protocol::job::COLD_IMPORTS_MAX;
use labels::{PeerList, Recycle, Start};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use table::{Kind, METRICS};
use tokio::time::sleep;

/// Bucket bounds in seconds, from a tenth of a millisecond to the client's limit of 3.5 s, and
/// beyond it for workers that warm up and contexts with longer limits.
const SECONDS: &[f64] = &[
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0,
];
/// Bucket bounds in bytes, from 64 KiB to 4 GiB, each four times the one before.
const BYTES: &[f64] = &[
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
    268_435_456.0,
    1_073_741_824.0,
    4_294_967_296.0,
];

/// How often recorded values are put into their histograms. Until then each value takes 16 bytes of
/// memory. Two cores can refuse 80,000 requests a second, so this time must be short.
const UPKEEP_EVERY: Duration = Duration::from_secs(1);

/// Lines of the log that could not be written. This is no metric of the recorder, since the log
/// begins before the recorder.
static LOST_LOG_LINES: AtomicU64 = AtomicU64::new(0);

/// CPU time of all sandboxes that are gone, in microseconds. This is no counter of the recorder,
/// since its counters are whole numbers and the metric is in seconds.
static SANDBOX_CPU_US: AtomicU64 = AtomicU64::new(0);

/// Counts a line of the log that could not be written.
pub fn count_lost_log_line() {
    LOST_LOG_LINES.fetch_add(1, Ordering::Relaxed);
}

/// How many lines of the log could not be written.
pub fn lost_log_lines() -> u64 {
    LOST_LOG_LINES.load(Ordering::Relaxed)
}

/// Adds the CPU time of a sandbox that is gone.
pub fn count_sandbox_cpu(micros: u64) {
    SANDBOX_CPU_US.fetch_add(micros, Ordering::Relaxed);
}

/// CPU time of all sandboxes that are gone.
pub fn sandbox_cpu() -> Duration {
    Duration::from_micros(SANDBOX_CPU_US.load(Ordering::Relaxed))
}

/// Counts the start of a worker.
pub fn count_worker_start(result: Start) {
    metrics::counter!("codejail_worker_starts_total", "result" => result.name()).increment(1);
}

/// Counts requests from addresses that are not in this list.
pub fn count_refused_peers(list: PeerList, requests: u64) {
    metrics::counter!("codejail_peers_refused_total", "list" => list.name()).increment(requests);
}

/// Counts a worker that has served and no longer serves.
pub fn count_recycled(reason: Recycle) {
    metrics::counter!("codejail_workers_recycled_total", "reason" => reason.name()).increment(1);
}

/// Counts a `HUP`, and whether its configuration was taken.
pub fn count_reload(taken: bool) {
    metrics::counter!("codejail_config_reloads_total", "result" => RELOADS[usize::from(taken)])
        .increment(1);
}

const RELOADS: [&str; 2] = ["failed", "success"];

/// Puts recorded values into their histograms, again and again. A scrape does the same, but there
/// may be no scraper.
pub async fn keep_up(handle: PrometheusHandle) {
    loop {
        sleep(UPKEEP_EVERY).await;
        handle.run_upkeep();
    }
}

/// Installs the recorder for the metrics of the whole process. Counters begin at 0, so that their
/// growth includes the first count.
///
/// # Errors
/// A recorder is installed already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), BYTES)?
        .install_recorder()?;
    for metric in METRICS {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.meaning),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.meaning),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.meaning),
        }
    }
    recorded::begin();
    for list in PeerList::ALL {
        count_refused_peers(*list, 0);
    }
    for start in Start::ALL {
        metrics::counter!("codejail_worker_starts_total", "result" => start.name()).absolute(0);
    }
    for reason in Recycle::ALL {
        metrics::counter!("codejail_workers_recycled_total", "reason" => reason.name()).absolute(0);
    }
    for result in RELOADS {
        metrics::counter!("codejail_config_reloads_total", "result" => result).absolute(0);
    }
    // This is set again when it changes.
    metrics::gauge!("codejail_connections").set(0.0);
    metrics::gauge!("codejail_library_cache_bytes").set(0.0);
    for name in WITHOUT_LABELS {
        metrics::counter!(*name).absolute(0);
    }
    Ok(handle)
}

/// Names of counters without labels that are counted where the event happens.
const WITHOUT_LABELS: &[&str] = &[
    "codejail_worker_failures_total",
    "codejail_scratch_failures_total",
    "codejail_python_changes_total",
    "codejail_library_cache_hits_total",
    "codejail_library_cache_misses_total",
    "codejail_library_cache_compiled_total",
    "codejail_library_cache_failed_total",
    "codejail_library_cache_evicted_total",
    "codejail_library_cache_postponed_total",
    "codejail_log_refusals_unsaid_total",
];

/// The credible part of the libraries that a run reports as cold imports. A run can report
/// anything: we skip names that no worker has found in the sandbox venv, repeated names, and names
/// beyond the bound.
#[must_use]
pub fn credible_cold_imports<'a>(said: &'a [String], worker: Option<&Hello>) -> Vec<&'a str> {
    let mut credible: Vec<&str> = Vec::new();
    let libraries = worker.map_or(&[][..], |hello| &hello.libraries);
    for module in said.iter().take(COLD_IMPORTS_MAX) {
        if libraries.contains(module) && !credible.contains(&module.as_str()) {
            credible.push(module);
        }
    }
    credible
}

/// For each library, how many executions imported it cold. The map has only libraries that a worker
/// found in the sandbox venv, so it can't grow without a bound.
static COLD_IMPORTS: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// Counts these libraries. The worst that a run can do is a wrong count of a library that exists.
pub fn count_cold_imports(credible: &[&str]) {
    for module in credible {
        let mut counts = COLD_IMPORTS.lock();
        let count = counts.entry((*module).to_owned()).or_default();
        *count += 1;
        let is_first = *count == 1;
        drop(counts);
        if is_first {
            tracing::info!(
                event = "cold_import",
                module,
                "an execution imported {module}, and each execution has to import it again, unless \
                 python.preload names it"
            );
        }
        metrics::counter!("codejail_cold_imports_total", "module" => (*module).to_owned())
            .increment(1);
    }
}

/// The libraries that executions imported cold, each with the number of executions.
#[must_use]
pub fn cold_imports() -> Vec<(String, u64)> {
    let counts = COLD_IMPORTS.lock();
    counts
        .iter()
        .map(|(module, count)| (module.clone(), *count))
        .collect()
}
