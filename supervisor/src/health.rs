//! Whether executing is safe: the results of the checks of each worker and of the service itself.
//!
//! Executing is safe once a worker has passed its checks. It becomes unsafe again in two cases. The
//! first: a new worker fails its checks while no checked worker serves. The second: no worker has
//! served for a long time, since a host that can't start a worker may be broken in any way. A
//! worker that fails never serves. While others serve, its failure is only reported.

use codejail_protocol::SABOTAGE;
use codejail_protocol::control::LayerState;
use codejail_protocol::spawn::WorkerId;
use metrics::{counter, gauge};
use parking_lot::RwLock;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long there may be no serving worker before executing counts as unsafe: the longest pause
/// between two attempts to start one.
const UNSERVED_MAX: Duration = Duration::from_secs(30);

/// One check and its result.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// The original's name for it.
    pub id: &'static str,
    /// The fault, if there is one.
    pub failure: Option<String>,
}

/// Everything that is known.
#[derive(Debug, Default)]
pub struct Health(RwLock<State>);

#[derive(Debug, Default)]
struct State {
    /// Workers that have passed their checks and serve.
    serving: BTreeSet<WorkerId>,
    /// Since when no worker serves; none before the first has served.
    unserved: Option<Instant>,
    /// Whether the last result of a worker was good.
    workers_safe: bool,
    /// The checks of each keeper's last worker. A failure stays until a worker of that keeper
    /// passes.
    keepers: BTreeMap<usize, Vec<Check>>,
    /// The checks of the service itself; none until they have run.
    own: Option<Vec<Check>>,
    /// The states of the layers: first the service's, then those of the last warm worker.
    layers: [Vec<LayerState>; 2],
    /// Warnings about this host, for the operator.
    warnings: Vec<String>,
    /// Wakes tasks that wait until executing is safe.
    checked: watch::Sender<()>,
}

/// Whether all checks have passed. A sabotage build executes even after failed checks. Otherwise no
/// test could show what a missing layer lets pass.
fn all_passed(checks: &[Check]) -> bool {
    SABOTAGE || checks.iter().all(|check| check.failure.is_none())
}

impl State {
    fn is_safe(&self) -> bool {
        let served = self
            .unserved
            .is_none_or(|since| since.elapsed() < UNSERVED_MAX);
        self.workers_safe && served && self.own.as_deref().is_some_and(all_passed)
    }

    /// Each check once. If it has failed anywhere, with that failure.
    fn checks(&self) -> Vec<Check> {
        let mut merged: Vec<Check> = Vec::new();
        for check in self.keepers.values().chain(&self.own).flatten() {
            match merged.iter_mut().find(|known| known.id == check.id) {
                None => merged.push(check.clone()),
                Some(known) if known.failure.is_none() => known.failure.clone_from(&check.failure),
                Some(_) => {}
            }
        }
        merged
    }

    fn show(&self) {
        for check in self.checks() {
            gauge!("codejail_startup_check", "id" => check.id)
                .set(u8::from(check.failure.is_none()));
        }
        self.checked.send_replace(());
    }
}

impl Health {
    /// Whether executions may be accepted.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        self.0.read().is_safe()
    }

    /// Waits until executions may be accepted.
    pub async fn until_safe(&self) {
        let mut checked = self.0.read().checked.subscribe();
        while !self.is_safe() {
            // The sender lives as long as this object.
            let _ = checked.changed().await;
        }
    }

    /// Notes the checks of the service itself; nothing is safe before this call.
    pub fn own_checked(&self, checks: Vec<Check>) {
        let mut state = self.0.write();
        count_failures(&checks);
        state.own = Some(checks);
        state.show();
    }

    /// Notes the results of a new worker's checks. Returns whether all have passed; then the worker
    /// serves.
    pub fn worker_checked(&self, keeper: usize, worker: WorkerId, checks: Vec<Check>) -> bool {
        let mut state = self.0.write();
        let passed = all_passed(&checks);
        if passed {
            state.serving.insert(worker);
            state.unserved = None;
        }
        count_failures(&checks);
        state.workers_safe = passed || (state.workers_safe && !state.serving.is_empty());
        state.keepers.insert(keeper, checks);
        state.show();
        passed
    }

    /// Notes the states of the layers that are the same for all workers. Changes are logged.
    pub fn set_layers(&self, layers: Vec<LayerState>) {
        let mut state = self.0.write();
        let mut news = layers.clone();
        news.retain(|layer| !state.layers[0].contains(layer));
        log_layers(&news);
        state.layers[0] = layers;
    }

    /// Notes warnings about this host. They stop no service.
    pub fn set_warnings(&self, warnings: &[String]) {
        self.0.write().warnings = warnings.to_owned();
    }

    /// Notes the states of a worker's own layers. Changes are logged.
    pub fn set_worker_layers(&self, layers: Vec<LayerState>) {
        let mut state = self.0.write();
        if state.layers[1] != layers {
            log_layers(&layers);
            state.layers[1] = layers;
        }
    }

    /// The state of each layer.
    #[must_use]
    pub fn layers(&self) -> Vec<LayerState> {
        self.0.read().layers.concat()
    }

    /// How many workers have passed their checks and serve.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.0.read().serving.len()
    }

    /// Notes that a worker no longer serves.
    pub fn worker_left(&self, worker: WorkerId) {
        let mut state = self.0.write();
        if state.serving.remove(&worker) && state.serving.is_empty() {
            state.unserved = Some(Instant::now());
        }
    }

    /// Notes that a keeper has ended. The results of its workers are forgotten.
    pub fn keeper_left(&self, keeper: usize) {
        let mut state = self.0.write();
        state.keepers.remove(&keeper);
        state.show();
    }

    /// Each check once, with a failure if a keeper's last worker, or the service itself, had one.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        self.0.read().checks()
    }

    /// Warnings about this host, for the operator.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.0.read().warnings.clone()
    }

    /// The body of `/health/`: the original's key `status`, and more keys.
    #[must_use]
    pub fn body(&self) -> String {
        let state = self.0.read();
        let status = if state.is_safe() { "OK" } else { "UNAVAILABLE" };
        // It is null until a worker has been checked.
        let checks = (!state.keepers.is_empty()).then(|| state.checks());
        let workers = state.serving.len();
        let layers = state.layers.concat();
        serde_json::json!({
            "status": status, "workers": workers, "checks": checks, "layers": layers,
            "warnings": state.warnings
        })
        .to_string()
    }
}

/// Logs a line for each layer. A layer with `auto` that the host does not give is a warning.
fn log_layers(layers: &[LayerState]) {
    for LayerState { layer, on, detail } in layers {
        if *on {
            tracing::info!(event = "layer_enabled", layer, "layer on: {detail}");
        } else {
            tracing::warn!(event = "layer_disabled", layer, "layer off: {detail}");
        }
    }
}

fn count_failures(checks: &[Check]) {
    for check in checks.iter().filter(|check| check.failure.is_some()) {
        counter!("codejail_startup_check_failures_total", "id" => check.id).increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn checks(failure: Option<&str>) -> Vec<Check> {
        let check = |id, failure: Option<&str>| Check {
            id,
            failure: failure.map(str::to_owned),
        };
        vec![check("functionality", None), check("disk", failure)]
    }

    const FIRST: WorkerId = WorkerId(1);
    const SECOND: WorkerId = WorkerId(2);

    #[test]
    fn nothing_is_safe_until_a_worker_and_the_service_have_passed() {
        let health = Health::default();
        assert!(!health.is_safe());
        assert!(!health.worker_checked(0, FIRST, checks(Some("listed /"))));
        health.own_checked(Vec::new());
        assert!(!health.is_safe());
        assert!(health.worker_checked(0, SECOND, checks(None)));
        assert!(health.is_safe());
        health.own_checked(checks(Some("connected")));
        assert!(!health.is_safe());
    }

    #[test]
    fn a_worker_that_fails_beside_one_that_serves_is_reported_until_its_post_has_one_that_passes() {
        let health = Health::default();
        health.own_checked(Vec::new());
        assert!(health.worker_checked(0, FIRST, checks(None)));
        assert!(!health.worker_checked(1, SECOND, checks(Some("listed /"))));
        assert!(health.is_safe());
        assert_eq!(health.checks(), checks(Some("listed /")));
        assert!(health.worker_checked(0, WorkerId(3), checks(None)));
        assert_eq!(health.checks(), checks(Some("listed /")));
        assert!(health.worker_checked(1, WorkerId(4), checks(None)));
        assert_eq!(health.checks(), checks(None));
    }

    // The clock moves only when the test moves it.
    #[tokio::test(start_paused = true)]
    async fn it_is_unsafe_when_no_worker_has_served_for_long_and_safe_when_one_does() {
        let health = Health::default();
        health.own_checked(Vec::new());
        for worker in [FIRST, SECOND] {
            assert!(health.worker_checked(0, worker, checks(None)));
        }
        health.worker_left(FIRST);
        advance(2 * UNSERVED_MAX).await;
        assert!(health.is_safe());
        health.worker_left(SECOND);
        advance(UNSERVED_MAX / 2).await;
        // Its task calls this too.
        health.worker_left(SECOND);
        assert!(health.is_safe());
        advance(UNSERVED_MAX / 2).await;
        assert!(!health.is_safe());
        assert!(health.body().contains("UNAVAILABLE"));
        assert!(health.worker_checked(0, WorkerId(3), checks(None)));
        assert!(health.is_safe());
    }

    #[test]
    fn a_worker_that_fails_while_none_serves_makes_it_unsafe() {
        let health = Health::default();
        health.own_checked(Vec::new());
        assert!(health.worker_checked(0, FIRST, checks(None)));
        // A moment without a serving worker does not make the service unsafe.
        health.worker_left(FIRST);
        assert!(health.is_safe());
        assert!(!health.worker_checked(0, SECOND, checks(Some("listed /"))));
        assert!(!health.is_safe());
    }
}
