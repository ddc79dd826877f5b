//! The numbers that follow from `workers` and `sandboxes_per_worker`: processes at a time, and
//! their uids.

use super::error::ConfigError;
use super::model::{Config, WORKERS_MAX};
use super::settings::Settings;
use std::ops::Range;

/// Memory for a worker and the sandboxes that wait. The libraries of Open edX take some 300 MB
/// once. Huge pages, and the pages that each sandbox copies, take as much again.
const WORKER_BYTES: u64 = 1 << 30;
/// Memory for a run, beside its files, which are memory too. scipy, or matplotlib with a large
/// figure, takes some 200 MB over the warm image; this is three times as much.
const RUN_BYTES: u64 = 768 << 20;

impl Config {
    /// Checks that depend on more than one key.
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

    /// There must always be room for one body of the greatest length.
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
        // `check` has made sure that it fits.
        self.sandbox.uid_base += u32::try_from(self.uid_count()).unwrap_or(0);
        self.is_tool = true;
        self.workers = 1;
        self.sandboxes_per_worker = 1;
        self.max_requests = 0;
        // There is no second execution.
        self.library_cache.bytes_max = 0;
        // No other request waits, and the user has patience.
        self.queue_wait_max_ms = 60_000;
        self
    }

    /// The uids of the service's workers and sandboxes.
    #[must_use]
    pub fn uid_range(&self) -> Range<u64> {
        let first = u64::from(self.sandbox.uid_base);
        first..first + self.uid_count()
    }

    /// These uids, and after them the uids of `check` and `run`, which may run beside the service.
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

    /// The value of `cgroup.memory_bytes_max` if no source sets it. Ordinary work stays far below
    /// this bound. It keeps one run from taking all memory of the host.
    #[must_use]
    pub fn memory_bytes_default(&self) -> u64 {
        let sandboxes = self.sandboxes_per_worker as u64;
        let one = RUN_BYTES.saturating_add(self.scratch_bytes_max);
        // The largest number that TOML can write.
        WORKER_BYTES
            .saturating_add(one.saturating_mul(sandboxes))
            .min(i64::MAX as u64)
    }

    /// Sandboxes that a worker keeps ready while nothing runs: each that may run, and a spare
    /// beside it.
    #[must_use]
    pub fn sandboxes_ready(&self) -> usize {
        2 * self.sandboxes_per_worker
    }

    /// Sandboxes of one worker that may exist at once: those that run, a spare beside each, twice
    /// as many that are ending, and a few more where there are few.
    #[must_use]
    pub fn sandboxes_max(&self) -> usize {
        4 * self.sandboxes_per_worker + 4
    }

    /// The uids of one worker: its own, then its sandboxes'.
    #[must_use]
    pub fn uids_per_worker(&self) -> u64 {
        1 + self.sandboxes_max() as u64
    }

    /// All uids. Each worker may have a successor that warms up and a predecessor that drains.
    #[must_use]
    pub fn uid_count(&self) -> u64 {
        self.uids_per_worker() * self.worker_slots() as u64
    }

    /// Workers that may exist at once.
    #[must_use]
    pub fn worker_slots(&self) -> usize {
        3 * self.workers_max()
    }

    /// Most workers that the service may be told to keep while it runs. Their uids are set aside
    /// when it starts.
    #[must_use]
    pub fn workers_max(&self) -> usize {
        (2 * self.workers).min(WORKERS_MAX)
    }
}
