//! What follows from `workers` and `sandboxes_per_worker`: processes at a time, and their uids.

use super::error::ConfigError;
use super::model::{Config, WORKERS_MAX};
use super::settings::Settings;
use std::ops::Range;

/// Of memory, for a worker and the sandboxes that wait: the libraries of Open edX take some 300 MB
/// once, huge pages and the pages that each sandbox copies as much again.
const WORKER_BYTES: u64 = 1 << 30;
/// For a run, beside its files, which are memory too: scipy or matplotlib with a large figure take
/// some 200 MB over the warm image, and this is three times that.
const RUN_BYTES: u64 = 768 << 20;

impl Config {
    /// Checks what depends on more than one key.
    pub(super) fn check(&self, settings: &Settings) -> Result<(), ConfigError> {
        let last = u64::from(u32::MAX - 1) - self.uid_count() - Self::tool_uid_count();
        let first = self.sandbox.uid_base;
        if u64::from(first) > last {
            let path = ["sandbox", "uid_base"].map(str::to_owned);
            let right = format!("must be at most {last}, or the uids of all workers don't fit");
            let origin = settings.origin(&path);
            return Err(origin.refuse(&path, &toml::Value::Integer(first.into()), &right));
        }
        self.check_bodies(settings)
    }

    /// One body of the longest must always find room.
    fn check_bodies(&self, settings: &Settings) -> Result<(), ConfigError> {
        if self.bodies_bytes_max >= self.body_bytes_max {
            return Ok(());
        }
        let path = ["bodies_bytes_max".to_owned()];
        let value = i64::try_from(self.bodies_bytes_max).unwrap_or(i64::MAX);
        let least = self.body_bytes_max;
        let right = format!("must be at least {least}, or no body of body_bytes_max finds room");
        let origin = settings.origin(&path);
        Err(origin.refuse(&path, &toml::Value::Integer(value), &right))
    }

    /// The configuration of `check` and `run`: one sandbox at a time, under uids of its own, so
    /// that a service with the same configuration can run at the same time.
    #[must_use]
    pub fn for_tool(mut self) -> Self {
        // Checked to fit.
        self.sandbox.uid_base += u32::try_from(self.uid_count()).unwrap_or(0);
        self.is_tool = true;
        self.workers = 1;
        self.sandboxes_per_worker = 1;
        self.max_requests = 0;
        // There is no second execution.
        self.library_cache.bytes_max = 0;
        // Nobody else asks, and whoever does has patience.
        self.queue_wait_max_ms = 60_000;
        self
    }

    /// The uids of the service's workers and sandboxes.
    #[must_use]
    pub fn uid_range(&self) -> Range<u64> {
        let first = u64::from(self.sandbox.uid_base);
        first..first + self.uid_count()
    }

    /// These, and those of `check` and `run` beside it, which follow.
    #[must_use]
    pub fn uid_range_with_tools(&self) -> Range<u64> {
        let range = self.uid_range();
        range.start..range.end + Self::tool_uid_count()
    }

    fn tool_uid_count() -> u64 {
        let one = Self {
            workers: 1,
            sandboxes_per_worker: 1,
            ..Self::default()
        };
        one.uid_count()
    }

    /// `cgroup.memory_bytes_max` where nobody sets it: a bound that ordinary work stays far below,
    /// so that one run can't have the host's memory.
    #[must_use]
    pub fn memory_bytes_default(&self) -> u64 {
        let sandboxes = self.sandboxes_per_worker as u64;
        let one = RUN_BYTES.saturating_add(self.scratch_bytes_max);
        // What TOML can write.
        WORKER_BYTES
            .saturating_add(one.saturating_mul(sandboxes))
            .min(i64::MAX as u64)
    }

    /// Sandboxes that a worker keeps ready while nothing runs: a spare beside each that may run.
    #[must_use]
    pub fn sandboxes_ready(&self) -> usize {
        2 * self.sandboxes_per_worker
    }

    /// Sandboxes of one worker that may exist at once: running, a spare beside each, and twice as
    /// many on their way out, with some room where there are few.
    #[must_use]
    pub fn sandboxes_max(&self) -> usize {
        4 * self.sandboxes_per_worker + 4
    }

    /// The uids of one worker: its own, then its sandboxes'.
    #[must_use]
    pub fn uids_per_worker(&self) -> u64 {
        1 + self.sandboxes_max() as u64
    }

    /// All uids: each worker may have a successor warming up and a predecessor draining.
    #[must_use]
    pub fn uid_count(&self) -> u64 {
        self.uids_per_worker() * self.worker_slots() as u64
    }

    /// Workers that may exist at once.
    #[must_use]
    pub fn worker_slots(&self) -> usize {
        3 * self.workers_max()
    }

    /// How many workers the service may be told to keep while it runs; their uids are set aside
    /// when it starts.
    #[must_use]
    pub fn workers_max(&self) -> usize {
        (2 * self.workers).min(WORKERS_MAX)
    }
}
