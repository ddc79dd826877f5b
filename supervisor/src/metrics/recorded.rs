//! Handles of the metrics that every request changes. To look a metric up by name and labels costs
//! more than to count it.

use super::labels::{End, Limit, Refusal, STATUSES};
use metrics::{Counter, Histogram, counter, histogram};
use std::sync::OnceLock;
use std::time::Duration;

struct Handles {
    requests: Vec<(Counter, Histogram)>,
    refused: Vec<Counter>,
    queue_wait: Histogram,
    execution: Histogram,
    cpu: Histogram,
    memory: Histogram,
    ends: Vec<Counter>,
    limits: Vec<Counter>,
    unprepared: Counter,
}

/// None before the recorder is installed; until then nothing is counted.
static HANDLES: OnceLock<Handles> = OnceLock::new();

/// Looks the handles up. The recorder must be installed.
pub fn begin() {
    let request = |status: &&'static str| {
        (
            counter!("codejail_requests_total", "status" => *status),
            histogram!("codejail_request_seconds", "status" => *status),
        )
    };
    let refusal =
        |reason: &Refusal| counter!("codejail_requests_refused_total", "reason" => reason.name());
    let end = |end: &End| counter!("codejail_executions_total", "end" => end.name());
    let limit = |limit: &Limit| counter!("codejail_limit_hits_total", "limit" => limit.name());
    HANDLES.get_or_init(|| Handles {
        requests: STATUSES.iter().map(request).collect(),
        refused: Refusal::ALL.iter().map(refusal).collect(),
        queue_wait: histogram!("codejail_queue_wait_seconds"),
        execution: histogram!("codejail_execution_seconds"),
        cpu: histogram!("codejail_execution_cpu_seconds"),
        memory: histogram!("codejail_execution_memory_bytes"),
        ends: End::ALL.iter().map(end).collect(),
        limits: Limit::ALL.iter().map(limit).collect(),
        unprepared: counter!("codejail_sandbox_failures_total"),
    });
}

/// Counts a request that was answered.
pub fn request(status: &str, elapsed: Duration) {
    let Some(handles) = HANDLES.get() else { return };
    let place = STATUSES.iter().position(|known| *known == status);
    if let Some((count, seconds)) = place.and_then(|place| handles.requests.get(place)) {
        count.increment(1);
        seconds.record(elapsed);
    }
}

/// Counts a request that was refused with 503.
pub fn refused(reason: Refusal) {
    if let Some(handles) = HANDLES.get() {
        handles.refused[reason as usize].increment(1);
    }
}

/// Counts a request that got a sandbox after this wait.
pub fn sandbox_taken(waited: Duration) {
    if let Some(handles) = HANDLES.get() {
        handles.queue_wait.record(waited);
    }
}

/// Counts a run that ended after this time.
pub fn executed(elapsed: Duration) {
    if let Some(handles) = HANDLES.get() {
        handles.execution.record(elapsed);
    }
}

/// Counts a sandbox that could not take its job.
pub fn unprepared() {
    if let Some(handles) = HANDLES.get() {
        handles.unprepared.increment(1);
    }
}

/// An execution whose sandbox is gone.
#[derive(Debug, Clone, Copy)]
pub struct Done<'a> {
    /// How it ended.
    pub end: End,
    /// The limit that it reached.
    pub limit: Option<Limit>,
    /// CPU time of the run.
    pub cpu: Option<Duration>,
    /// The most memory, without that of the ready sandbox.
    pub memory_bytes: Option<u64>,
    /// Its context, if the configuration names it.
    pub context: Option<&'a str>,
}

impl Done<'_> {
    /// Counts it.
    pub fn count(self) {
        let Some(handles) = HANDLES.get() else { return };
        handles.ends[self.end as usize].increment(1);
        if let Some(limit) = self.limit {
            handles.limits[limit as usize].increment(1);
        }
        if let Some(cpu) = self.cpu {
            handles.cpu.record(cpu);
        }
        if let Some(bytes) = self.memory_bytes {
            handles.memory.record(bytes as f64);
        }
        if let Some(context) = self.context {
            let (context, end) = (context.to_owned(), self.end.name());
            counter!("codejail_context_executions_total", "context" => context, "end" => end)
                .increment(1);
        }
    }
}
