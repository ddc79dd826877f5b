//! Every metric: name, type, unit, labels, meaning. docs/metrics.md has the same table, and a test
//! compares them; another one compares this list with what a service shows.

/// What Prometheus takes a metric for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, from the start of the service on.
    Counter,
    /// What is now.
    Gauge,
    /// How often what value was seen.
    Histogram,
}

impl Kind {
    /// As the exposition format has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it tells, for whoever reads `# HELP`.
    pub meaning: &'static str,
}

impl Metric {
    /// Its base unit; none where it counts things.
    #[must_use]
    pub fn unit(&self) -> Option<&'static str> {
        let name = self.name.trim_end_matches("_total");
        ["seconds", "bytes"].into_iter().find(|unit| {
            let stem = name.trim_end_matches("_max");
            stem.ends_with(&format!("_{unit}"))
        })
    }
}

use Kind::{Counter, Gauge, Histogram};

const fn metric(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    meaning: &'static str,
) -> Metric {
    Metric {
        name,
        kind,
        labels,
        meaning,
    }
}

/// All of them, in the order of the document.
#[rustfmt::skip]
pub const METRICS: &[Metric] = &[
    // Requests and executions.
    metric("codejail_requests_total", Counter, &["status"], "Requests for an execution, by codejail.exec.status (the label status)"),
    metric("codejail_request_seconds", Histogram, &["status"], "Time from the head of a request until its answer"),
    metric("codejail_requests_refused_total", Counter, &["reason"], "Requests that were refused with 503"),
    metric("codejail_queue_wait_seconds", Histogram, &[], "Time that a request waited until it had a sandbox"),
    metric("codejail_execution_seconds", Histogram, &[], "Time from sending the job to the sandbox until the end of the run"),
    metric("codejail_execution_cpu_seconds", Histogram, &[], "CPU time of a run, without the preparation of its sandbox"),
    metric("codejail_execution_memory_bytes", Histogram, &[], "The most memory that a run had, without the memory of its ready sandbox; with a sealed image also the pages of it that the run used"),
    metric("codejail_executions_total", Counter, &["end"], "Executions by how they ended, counted when the sandbox is gone"),
    metric("codejail_limit_hits_total", Counter, &["limit"], "Executions that reached a limit, by the limit's key"),
    metric("codejail_context_executions_total", Counter, &["context", "end"], "Executions of the contexts that limit_overrides names"),
    metric("codejail_cold_imports_total", Counter, &["module"], "Executions that imported a library of the sandbox venv that is not preloaded"),
    // Now, each beside its bound.
    metric("codejail_sandboxes_busy", Gauge, &[], "Executions that are admitted and not answered"),
    metric("codejail_sandboxes_busy_max", Gauge, &[], "Executions that may be admitted at the same time: the capacity"),
    metric("codejail_sandboxes_ready", Gauge, &[], "Sandboxes that wait for a job"),
    metric("codejail_sandboxes_ready_max", Gauge, &[], "Sandboxes that wait for a job if nothing runs"),
    metric("codejail_queue_length", Gauge, &[], "Requests that wait for admission"),
    metric("codejail_queue_length_max", Gauge, &[], "Requests that may wait; further ones are refused"),
    metric("codejail_queue_oldest_wait_seconds", Gauge, &[], "The longest time that a waiting request has waited so far; 0 if none waits"),
    metric("codejail_queue_oldest_wait_seconds_max", Gauge, &[], "How long a request may wait"),
    metric("codejail_connections", Gauge, &[], "Open connections to the API's address"),
    metric("codejail_connections_max", Gauge, &[], "Connections that may be open at the same time"),
    metric("codejail_bodies_bytes", Gauge, &[], "Memory that bodies and answers take of bodies_bytes_max"),
    metric("codejail_bodies_bytes_max", Gauge, &[], "Memory that bodies and answers may take"),
    // Workers.
    metric("codejail_workers", Gauge, &["state"], "Workers by their state"),
    metric("codejail_workers_configured", Gauge, &[], "Workers that should serve: the configuration's number, as TTIN and TTOU have changed it"),
    metric("codejail_worker_starts_total", Counter, &["result"], "Starts of workers by their result"),
    metric("codejail_worker_warm_up_seconds", Histogram, &[], "Time from a worker's launch until it is warm"),
    metric("codejail_worker_failures_total", Counter, &[], "Workers that were lost or could not start"),
    metric("codejail_workers_recycled_total", Counter, &["reason"], "Workers that served and were replaced or ended"),
    metric("codejail_preload_failures", Gauge, &[], "Modules of python.preload that the last warm worker could not import"),
    metric("codejail_sandbox_failures_total", Counter, &[], "Sandboxes that could not take the job that they were given"),
    metric("codejail_sandbox_cpu_seconds_total", Counter, &[], "CPU time of all sandboxes that have ended, with their preparation"),
    metric("codejail_scratch_failures_total", Counter, &[], "Directories of executions that could not be removed or emptied"),
    metric("codejail_peers_refused_total", Counter, &["list"], "Requests from addresses that are not in this list of networks"),
    metric("codejail_python_changes_total", Counter, &[], "Upgrades of Python or its libraries in place; all changes of one upgrade count once"),
    // Course libraries.
    metric("codejail_library_cache_bytes", Gauge, &[], "Memory that the kept bytecode of course libraries takes"),
    metric("codejail_library_cache_bytes_max", Gauge, &[], "Memory that the bytecode may take"),
    metric("codejail_library_cache_hits_total", Counter, &[], "Executions with a library whose bytecode was kept"),
    metric("codejail_library_cache_misses_total", Counter, &[], "Executions with a library whose bytecode was not kept"),
    metric("codejail_library_cache_compiled_total", Counter, &[], "Libraries that were compiled"),
    metric("codejail_library_cache_failed_total", Counter, &[], "Libraries that could not be compiled"),
    metric("codejail_library_cache_evicted_total", Counter, &[], "Libraries whose bytecode was removed to make room"),
    metric("codejail_library_cache_postponed_total", Counter, &[], "Compilations that were put off because there was no time"),
    // Safety.
    metric("codejail_enabled", Gauge, &[], "1 if enabled is true"),
    metric("codejail_safe", Gauge, &[], "1 if it is safe to execute: /health/ answers 200"),
    metric("codejail_draining", Gauge, &[], "1 as soon as the service was told to end"),
    metric("codejail_startup_check", Gauge, &["id"], "1 for a safety check that passed"),
    metric("codejail_startup_check_failures_total", Counter, &["id"], "Safety checks that failed, of any worker or of the service itself"),
    metric("codejail_layer", Gauge, &["layer", "state"], "1 for the state of the layer: on or off"),
    // The service itself.
    metric("codejail_config_reloads_total", Counter, &["result"], "Reloads (HUP) by whether the configuration was accepted"),
    metric("codejail_config_last_reload_successful", Gauge, &[], "1 if the configuration of the last reload is in force; 0 if it had a mistake"),
    metric("codejail_config_last_reload_success_timestamp_seconds", Gauge, &[], "When the configuration in force was read, in seconds since 1970"),
    metric("codejail_log_lines_lost_total", Counter, &[], "Lines of the log that could not be written to standard error"),
    metric("codejail_log_refusals_unsaid_total", Counter, &[], "Refused requests that have no line in the log, because there were too many"),
    metric("codejail_build_info", Gauge, &["version"], "1; the label has the version"),
    metric("process_cpu_seconds_total", Counter, &[], "CPU time of the supervisor"),
    metric("process_resident_memory_bytes", Gauge, &[], "Resident memory of the supervisor"),
    metric("process_virtual_memory_bytes", Gauge, &[], "Address space of the supervisor"),
    metric("process_open_fds", Gauge, &[], "Open descriptors of the supervisor"),
    metric("process_max_fds", Gauge, &[], "Descriptors that the supervisor may open"),
    metric("process_start_time_seconds", Gauge, &[], "When the supervisor was started, in seconds since 1970"),
];

/// The metric of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn row(metric: &Metric) -> String {
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let (kind, unit) = (metric.kind.name(), metric.unit().unwrap_or("–"));
        let labels = if labels.is_empty() {
            "–".to_owned()
        } else {
            labels.join(", ")
        };
        format!(
            "| `{}` | {kind} | {unit} | {labels} | {} |",
            metric.name, metric.meaning
        )
    }

    #[test]
    fn the_document_has_this_table() {
        let document = include_str!("../../../docs/metrics.md");
        let in_document: Vec<&str> = document
            .lines()
            .filter(|line| line.starts_with("| `codejail_") || line.starts_with("| `process_"))
            .collect();
        let here: Vec<String> = METRICS.iter().map(row).collect();
        assert_eq!(
            in_document,
            here,
            "docs/metrics.md should have:\n{}",
            here.join("\n")
        );
    }

    #[test]
    fn names_tell_type_and_unit() {
        let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            let name = metric.name;
            assert_eq!(name.ends_with("_total"), metric.kind == Counter, "{name}");
            assert!(
                metric.kind != Histogram || metric.unit().is_some(),
                "{name}"
            );
            for unit in ["micro", "milli", "_ms", "_us", "kib", "mib"] {
                assert!(!name.contains(unit), "{name}");
            }
        }
    }

    #[test]
    fn each_gauge_that_fills_up_stands_beside_its_bound() {
        let bounded: Vec<&str> = METRICS
            .iter()
            .filter_map(|metric| metric.name.strip_suffix("_max"))
            .collect();
        assert_eq!(bounded.len(), 7);
        for name in bounded {
            assert!(find(name).is_some(), "{name}");
        }
    }
}
