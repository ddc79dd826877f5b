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
    metric("codejail_requests_total", Counter, &["status"], "Requests for an execution, by codejail.exec.status"),
    metric("codejail_request_seconds", Histogram, &["status"], "From a request's head to its answer"),
    metric("codejail_requests_refused_total", Counter, &["reason"], "Requests turned away with 503"),
    metric("codejail_queue_wait_seconds", Histogram, &[], "From admission's door to a sandbox"),
    metric("codejail_execution_seconds", Histogram, &[], "From job to end of run"),
    metric("codejail_execution_cpu_seconds", Histogram, &[], "CPU time that a run used, without its sandbox's preparation"),
    metric("codejail_execution_memory_bytes", Histogram, &[], "Most memory that a run had beyond its ready sandbox's; copies of the image's pages are not in it"),
    metric("codejail_executions_total", Counter, &["end"], "Executions by how they ended; counted when the sandbox is gone"),
    metric("codejail_limit_hits_total", Counter, &["limit"], "Executions that ran into a limit, by the limit's key"),
    metric("codejail_context_executions_total", Counter, &["context", "end"], "Executions of the contexts that limit_overrides names"),
    metric("codejail_cold_imports_total", Counter, &["module"], "Executions that imported a library of the sandbox venv that is not preloaded"),
    // Now, each beside its bound.
    metric("codejail_sandboxes_busy", Gauge, &[], "Executions that are admitted and not answered"),
    metric("codejail_sandboxes_busy_max", Gauge, &[], "Executions that may be admitted at a time: the capacity"),
    metric("codejail_sandboxes_ready", Gauge, &[], "Sandboxes that wait for a job"),
    metric("codejail_sandboxes_ready_max", Gauge, &[], "Sandboxes that wait for a job when nothing runs"),
    metric("codejail_queue_length", Gauge, &[], "Requests that wait for admission"),
    metric("codejail_queue_length_max", Gauge, &[], "Requests that may wait: one more is refused"),
    metric("codejail_queue_oldest_wait_seconds", Gauge, &[], "How long the request has waited that waits longest; 0 if none does"),
    metric("codejail_queue_oldest_wait_seconds_max", Gauge, &[], "How long a request may wait"),
    metric("codejail_connections", Gauge, &[], "Connections to the API's address that are open"),
    metric("codejail_connections_max", Gauge, &[], "Connections that may be open"),
    metric("codejail_bodies_bytes", Gauge, &[], "What bodies and answers take of bodies_bytes_max"),
    metric("codejail_bodies_bytes_max", Gauge, &[], "What they may take"),
    // Workers.
    metric("codejail_workers", Gauge, &["state"], "Workers by what they do"),
    metric("codejail_workers_configured", Gauge, &[], "Workers that shall serve: the configuration's number, changed by TTIN and TTOU"),
    metric("codejail_worker_starts_total", Counter, &["result"], "Starts of workers by what came of them"),
    metric("codejail_worker_warm_up_seconds", Histogram, &[], "From a worker's launch until it is warm"),
    metric("codejail_worker_failures_total", Counter, &[], "Workers that were lost or could not start"),
    metric("codejail_workers_recycled_total", Counter, &["reason"], "Workers that served and do no more"),
    metric("codejail_preload_failures", Gauge, &[], "Modules of python.preload that the last warm worker could not import"),
    metric("codejail_sandbox_failures_total", Counter, &[], "Sandboxes that could not take their job"),
    metric("codejail_sandbox_cpu_seconds_total", Counter, &[], "CPU time of all sandboxes that are gone, with their preparation"),
    metric("codejail_scratch_failures_total", Counter, &[], "Directories and seats of executions that could not be emptied"),
    metric("codejail_peers_refused_total", Counter, &["list"], "Requests from addresses that are not in this list of networks"),
    metric("codejail_python_changes_total", Counter, &[], "Changes of Python's files in place, each with the upgrade that it is a part of"),
    // Course libraries.
    metric("codejail_library_cache_bytes", Gauge, &[], "Bytecode of course libraries that is kept"),
    metric("codejail_library_cache_bytes_max", Gauge, &[], "Bytecode that may be kept"),
    metric("codejail_library_cache_hits_total", Counter, &[], "Executions whose library's bytecode was there"),
    metric("codejail_library_cache_misses_total", Counter, &[], "Executions whose library's bytecode was not"),
    metric("codejail_library_cache_compiled_total", Counter, &[], "Libraries compiled"),
    metric("codejail_library_cache_failed_total", Counter, &[], "Libraries that could not be compiled"),
    metric("codejail_library_cache_evicted_total", Counter, &[], "Libraries evicted from the cache"),
    metric("codejail_library_cache_postponed_total", Counter, &[], "Compilations for which there was no time"),
    // Safety.
    metric("codejail_enabled", Gauge, &[], "1 if enabled is true"),
    metric("codejail_safe", Gauge, &[], "1 if executing is safe: /health/ answers 200"),
    metric("codejail_draining", Gauge, &[], "1 once the service finishes what it has, and ends"),
    metric("codejail_startup_check", Gauge, &["id"], "1 for a startup check that passed"),
    metric("codejail_startup_check_failures_total", Counter, &["id"], "Startup checks that failed, in any worker or of the service"),
    metric("codejail_layer", Gauge, &["layer", "state"], "1 for the state that a layer is in: on or off"),
    // The service itself.
    metric("codejail_config_reloads_total", Counter, &["result"], "HUPs by whether the configuration was taken"),
    metric("codejail_config_last_reload_successful", Gauge, &[], "1 if the last HUP's configuration, or that of the start, counts"),
    metric("codejail_config_last_reload_success_timestamp_seconds", Gauge, &[], "When the configuration that counts was read, in seconds since 1970"),
    metric("codejail_log_lines_lost_total", Counter, &[], "Lines of the log that could not be written to standard error"),
    metric("codejail_log_refusals_unsaid_total", Counter, &[], "Refused requests without a line of their own in the log, since there were too many"),
    metric("codejail_build_info", Gauge, &["version"], "1; the label says which build this is"),
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
