//! Every metric: name, type, unit, labels, meaning. docs/metrics.md has the same table, and a test
//! compares the two. Another test compares this list with what a service shows.

/// The type of a metric in Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows, from the start of the service on.
    Counter,
    /// A value at this moment.
    Gauge,
    /// How often which values were seen.
    Histogram,
}

impl Kind {
    /// Its name in the exposition format.
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
    /// What it means, for readers of `# HELP`.
    pub meaning: &'static str,
}

impl Metric {
    /// Its base unit; none if it counts things.
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

/// All metrics, in the order of the document.
#[rustfmt::skip]
pub const METRICS: &[Metric] = &[
    // Requests and executions.
    metric("codejail_requests_total", Counter, &["status"], "Requests for an execution, by codejail.exec.status"),
    metric("codejail_request_seconds", Histogram, &["status"], "Time from the head of a request to its answer"),
    metric("codejail_requests_refused_total", Counter, &["reason"], "Requests that were refused with 503"),
    metric("codejail_queue_wait_seconds", Histogram, &[], "Time that a request waited for admission and for a sandbox"),
    metric("codejail_execution_seconds", Histogram, &[], "Time from the job to the end of the run"),
    metric("codejail_execution_cpu_seconds", Histogram, &[], "CPU time of a run, without the preparation of its sandbox"),
    metric("codejail_execution_memory_bytes", Histogram, &[], "Most memory that a run had, without the memory of its ready sandbox; includes pages of a sealed image that the run was the first to touch"),
    metric("codejail_executions_total", Counter, &["end"], "Executions by how they ended; counted when the sandbox is gone"),
    metric("codejail_limit_hits_total", Counter, &["limit"], "Executions that reached a limit, by the limit's key"),
    metric("codejail_context_executions_total", Counter, &["context", "end"], "Executions of the contexts that limit_overrides names"),
    metric("codejail_cold_imports_total", Counter, &["module"], "Executions that imported a library of the sandbox venv that is not preloaded"),
    // Now, each beside its bound.
    metric("codejail_sandboxes_busy", Gauge, &[], "Executions that are admitted and not answered"),
    metric("codejail_sandboxes_busy_max", Gauge, &[], "Executions that may be admitted at a time: the capacity"),
    metric("codejail_sandboxes_ready", Gauge, &[], "Sandboxes that wait for a job"),
    metric("codejail_sandboxes_ready_max", Gauge, &[], "Sandboxes that wait for a job while nothing runs"),
    metric("codejail_queue_length", Gauge, &[], "Requests that wait for admission"),
    metric("codejail_queue_length_max", Gauge, &[], "Requests that may wait for admission; any further request is refused"),
    metric("codejail_queue_oldest_wait_seconds", Gauge, &[], "How long the oldest waiting request has waited; 0 if no request waits"),
    metric("codejail_queue_oldest_wait_seconds_max", Gauge, &[], "How long a request may wait"),
    metric("codejail_connections", Gauge, &[], "Connections to the API's address that are open"),
    metric("codejail_connections_max", Gauge, &[], "Connections that may be open"),
    metric("codejail_bodies_bytes", Gauge, &[], "Bytes of bodies_bytes_max that bodies and answers take"),
    metric("codejail_bodies_bytes_max", Gauge, &[], "Bytes that bodies and answers may take"),
    // Workers.
    metric("codejail_workers", Gauge, &["state"], "Workers by their state"),
    metric("codejail_workers_configured", Gauge, &[], "Workers that should serve: the number of the configuration, changed by TTIN and TTOU"),
    metric("codejail_worker_starts_total", Counter, &["result"], "Starts of workers by their result"),
    metric("codejail_worker_warm_up_seconds", Histogram, &[], "Time from the launch of a worker until it is warm"),
    metric("codejail_worker_failures_total", Counter, &[], "Workers that were lost or could not start"),
    metric("codejail_workers_recycled_total", Counter, &["reason"], "Workers that have served and no longer serve"),
    metric("codejail_preload_failures", Gauge, &[], "Modules of python.preload that the last warm worker could not import"),
    metric("codejail_sandbox_failures_total", Counter, &[], "Sandboxes that could not take their job"),
    metric("codejail_sandbox_cpu_seconds_total", Counter, &[], "CPU time of all sandboxes that are gone, including their preparation"),
    metric("codejail_scratch_failures_total", Counter, &[], "Directories and seats of executions that could not be emptied"),
    metric("codejail_peers_refused_total", Counter, &["list"], "Requests that were refused because their address is not in this list of networks"),
    metric("codejail_python_changes_total", Counter, &[], "Changes of Python's files in place; all changes of one upgrade count as one"),
    // Course libraries.
    metric("codejail_library_cache_bytes", Gauge, &[], "Bytecode of course libraries that is kept"),
    metric("codejail_library_cache_bytes_max", Gauge, &[], "Bytecode that may be kept"),
    metric("codejail_library_cache_hits_total", Counter, &[], "Executions whose library had bytecode in the cache"),
    metric("codejail_library_cache_misses_total", Counter, &[], "Executions whose library had no bytecode in the cache"),
    metric("codejail_library_cache_compiled_total", Counter, &[], "Libraries compiled"),
    metric("codejail_library_cache_failed_total", Counter, &[], "Libraries that could not be compiled"),
    metric("codejail_library_cache_evicted_total", Counter, &[], "Libraries evicted from the cache"),
    metric("codejail_library_cache_postponed_total", Counter, &[], "Compilations of libraries that were postponed because their time budget was used up"),
    // Safety.
    metric("codejail_enabled", Gauge, &[], "1 if enabled is true"),
    metric("codejail_safe", Gauge, &[], "1 if executing is safe: /health/ answers 200"),
    metric("codejail_draining", Gauge, &[], "1 while the service finishes its executions and then ends"),
    metric("codejail_startup_check", Gauge, &["id"], "1 if the startup check passed"),
    metric("codejail_startup_check_failures_total", Counter, &["id"], "Startup checks that failed, in any worker or of the service"),
    metric("codejail_layer", Gauge, &["layer", "state"], "1 for the state of the layer: on or off"),
    // The service itself.
    metric("codejail_config_reloads_total", Counter, &["result"], "HUPs by whether the new configuration was taken"),
    metric("codejail_config_last_reload_successful", Gauge, &[], "1 if the configuration of the last HUP was taken, or if there was no HUP; 0 if an older configuration still applies"),
    metric("codejail_config_last_reload_success_timestamp_seconds", Gauge, &[], "When the configuration that applies was read, in seconds since 1970"),
    metric("codejail_log_lines_lost_total", Counter, &[], "Lines of the log that could not be written to standard error"),
    metric("codejail_log_refusals_unsaid_total", Counter, &[], "Refused requests without a line of their own in the log, since there were too many"),
    metric("codejail_build_info", Gauge, &["version"], "Always 1; the label has the version of this build"),
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
