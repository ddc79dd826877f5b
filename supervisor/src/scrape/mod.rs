//! The text that Prometheus reads: recorded metrics, and values that are read at this moment.

mod exposition;
mod process;

pub use process::begin;

use crate::metrics::labels::WorkerState;
use crate::metrics::{lost_log_lines, sandbox_cpu};
use crate::pool::Pool;
use crate::service::Service;
use codejail_protocol::control::LayerState;
use exposition::Exposition;
use metrics_exporter_prometheus::PrometheusHandle;
use std::time::UNIX_EPOCH;

/// Layers, by the names of their keys. Only these become labels.
const LAYERS: [&str; 8] = [
    "uid",
    "namespaces",
    "mounts",
    "landlock",
    "seccomp",
    "apparmor",
    "rlimits",
    "cgroup",
];

/// All metrics, in Prometheus' text format.
#[must_use]
pub fn text(service: &Service, recorded: &PrometheusHandle) -> String {
    let mut page = Exposition::over(recorded.render());
    add_pool(&mut page, service);
    add_requests(&mut page, service);
    add_safety(&mut page, service);
    add_configuration(&mut page, service);
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    page.labelled("codejail_build_info", &[(&version, 1.0)]);
    page.add("codejail_log_lines_lost_total", lost_log_lines() as f64);
    process::add(&mut page);
    page.into_text()
}

fn add_pool(page: &mut Exposition, service: &Service) {
    let config = service.config.get();
    let pool = service.pool.get();
    // Before the first worker is there, the number of the configuration counts.
    let workers = pool.map_or(config.workers, Pool::workers);
    let count = |state| pool.map_or(0, |pool| pool.counts().of(state)) as f64;
    let states = WorkerState::ALL.iter().copied();
    let states: Vec<_> = states
        .map(|state| ([("state", state.name())], count(state)))
        .collect();
    let states: Vec<_> = states
        .iter()
        .map(|(labels, value)| (labels.as_slice(), *value))
        .collect();
    page.labelled("codejail_workers", &states);
    page.add("codejail_workers_configured", workers as f64);
    let failures = pool.map_or(0, |pool| pool.counts().preload_failures());
    page.add("codejail_preload_failures", failures as f64);
    page.add(
        "codejail_sandboxes_ready",
        pool.map_or(0, Pool::ready) as f64,
    );
    let ready_max = workers * config.sandboxes_ready();
    page.add("codejail_sandboxes_ready_max", ready_max as f64);
    page.add(
        "codejail_sandbox_cpu_seconds_total",
        sandbox_cpu().as_secs_f64(),
    );
    page.add(
        "codejail_library_cache_bytes_max",
        config.library_cache.bytes_max as f64,
    );
}

fn add_requests(page: &mut Exposition, service: &Service) {
    let config = service.config.get();
    let queue = service.admission.now();
    page.add("codejail_sandboxes_busy", queue.busy as f64);
    page.add("codejail_sandboxes_busy_max", queue.busy_max as f64);
    page.add("codejail_queue_length", queue.waiting as f64);
    page.add("codejail_queue_length_max", queue.waiting_max as f64);
    let oldest = queue.oldest_wait.as_secs_f64();
    page.add("codejail_queue_oldest_wait_seconds", oldest);
    let wait_max = queue.wait_max.as_secs_f64();
    page.add("codejail_queue_oldest_wait_seconds_max", wait_max);
    page.add("codejail_bodies_bytes", service.bodies.held_bytes() as f64);
    page.add("codejail_bodies_bytes_max", config.bodies_bytes_max as f64);
}

fn add_safety(page: &mut Exposition, service: &Service) {
    let one = |holds: bool| f64::from(u8::from(holds));
    page.add("codejail_enabled", one(service.config.get().enabled));
    page.add("codejail_safe", one(service.health.is_safe()));
    page.add("codejail_draining", one(service.drain.is_cancelled()));
    let found: Vec<LayerState> = service.health.layers();
    let mut samples = Vec::new();
    for layer in LAYERS {
        // The layers of a worker are not known before one worker is warm.
        let known = found.iter().find(|known| known.layer == layer);
        for (state, on) in [("on", true), ("off", false)] {
            let holds = known.is_some_and(|known| known.on == on);
            samples.push(([("layer", layer), ("state", state)], one(holds)));
        }
    }
    let samples: Vec<_> = samples
        .iter()
        .map(|(labels, value)| (labels.as_slice(), *value))
        .collect();
    page.labelled("codejail_layer", &samples);
}

fn add_configuration(page: &mut Exposition, service: &Service) {
    let read = service.config.last_read();
    let since_epoch = read.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let successful = f64::from(u8::from(!read.refused_since));
    page.add("codejail_config_last_reload_successful", successful);
    page.add(
        "codejail_config_last_reload_success_timestamp_seconds",
        since_epoch.as_secs_f64(),
    );
}
