//! Which requests may execute now: first come, first served. The number of waiting requests and
//! their wait are bounded.

use crate::config::Config;
use crate::metrics::labels::Refusal;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Why a request was turned away; the client should come back later.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refused {
    /// The queue is full.
    #[error("No sandbox is free and {} already", waiting_requests(*.0))]
    QueueFull(usize),
    /// The service already holds as many bytes for other clients as it may.
    #[error("The service holds too much for other requests to take this one")]
    NoRoom,
    /// It waited as long as it may.
    #[error("No sandbox became free within {0} ms")]
    WaitedTooLong(u128),
}

impl Refused {
    /// The reason's name in metrics.
    #[must_use]
    pub fn reason(&self) -> Refusal {
        match self {
            Self::QueueFull(_) => Refusal::QueueFull,
            Self::NoRoom => Refusal::NoRoom,
            Self::WaitedTooLong(_) => Refusal::WaitedTooLong,
        }
    }
}

fn waiting_requests(count: usize) -> String {
    match count {
        1 => "1 request waits".to_owned(),
        count => format!("{count} requests wait"),
    }
}

/// The queue before the pool.
#[derive(Debug)]
pub struct Admission {
    permits: Arc<Semaphore>,
    /// The start of each waiting request's wait, in the order of arrival.
    waiting: Mutex<BTreeMap<u64, Instant>>,
    arrivals: AtomicU64,
    bounds: RwLock<Bounds>,
}

/// How many requests are admitted and how many wait, each with its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Executions that are admitted.
    pub busy: usize,
    /// How many executions may be admitted.
    pub busy_max: usize,
    /// Requests that wait.
    pub waiting: usize,
    /// How many requests may wait.
    pub waiting_max: usize,
    /// How long the first of them has waited.
    pub oldest_wait: Duration,
    /// How long a request may wait.
    pub wait_max: Duration,
}

/// The bounds that a reload can change.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    executions_max: usize,
    queue_length_max: usize,
    queue_wait_max: Duration,
}

impl Bounds {
    fn of(config: &Config, workers: usize) -> Self {
        Self {
            executions_max: workers * config.sandboxes_per_worker,
            queue_length_max: config.queue_length_max,
            queue_wait_max: Duration::from_millis(config.queue_wait_max_ms),
        }
    }
}

/// The right to execute. Dropping it gives it back.
#[derive(Debug)]
pub struct Permit {
    _permit: OwnedSemaphorePermit,
    /// Until when the request may wait for other things, such as a sandbox.
    pub deadline: Instant,
}

/// Counts a waiting request until it stops waiting, also if its client hangs up.
struct Waiter<'a> {
    admission: &'a Admission,
    arrival: u64,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.admission.waiting.lock().remove(&self.arrival);
    }
}

impl Admission {
    /// Admits as many requests at a time as the workers can have sandboxes for.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self::within(Bounds::of(config, config.workers))
    }

    fn within(bounds: Bounds) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(bounds.executions_max)),
            waiting: Mutex::default(),
            arrivals: AtomicU64::new(0),
            bounds: RwLock::new(bounds),
        }
    }

    /// Admits by new bounds from now on. The old bounds still apply to requests that wait already.
    pub fn set(&self, config: &Config, workers: usize) {
        self.rebound(Bounds::of(config, workers));
    }

    fn rebound(&self, new: Bounds) {
        let old = std::mem::replace(&mut *self.bounds.write(), new);
        self.permits
            .add_permits(new.executions_max.saturating_sub(old.executions_max));
        let fewer = old.executions_max.saturating_sub(new.executions_max);
        let in_use = fewer - self.permits.forget_permits(fewer);
        for _ in 0..in_use {
            // Permits that are in use are removed when they come back.
            let permits = Arc::clone(&self.permits);
            tokio::spawn(async move {
                if let Ok(permit) = permits.acquire_owned().await {
                    permit.forget();
                }
            });
        }
    }

    /// Waits in line for a permit.
    ///
    /// # Errors
    /// The line is too long, or the request waited too long.
    pub async fn admit(&self) -> Result<Permit, Refused> {
        let bounds = *self.bounds.read();
        let deadline = Instant::now() + bounds.queue_wait_max;
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(Permit {
                _permit: permit,
                deadline,
            });
        }
        let _waiter = self.wait_in_line(bounds.queue_length_max)?;
        match timeout_at(deadline, Arc::clone(&self.permits).acquire_owned()).await {
            // The semaphore is never closed.
            Ok(Ok(permit)) => Ok(Permit {
                _permit: permit,
                deadline,
            }),
            Ok(Err(_)) | Err(_) => Err(self.waited_too_long()),
        }
    }

    /// The refusal of a request that waited too long.
    #[must_use]
    pub fn waited_too_long(&self) -> Refused {
        Refused::WaitedTooLong(self.bounds.read().queue_wait_max.as_millis())
    }

    /// A place at the end of the line.
    fn wait_in_line(&self, length_max: usize) -> Result<Waiter<'_>, Refused> {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= length_max {
            return Err(Refused::QueueFull(length_max));
        }
        let arrival = self.arrivals.fetch_add(1, Ordering::Relaxed);
        waiting.insert(arrival, Instant::now());
        drop(waiting);
        Ok(Waiter {
            admission: self,
            arrival,
        })
    }

    /// How many requests are admitted and wait now.
    #[must_use]
    pub fn now(&self) -> Queue {
        let bounds = *self.bounds.read();
        let waiting = self.waiting.lock();
        let oldest = waiting.first_key_value();
        let free = self.permits.available_permits();
        Queue {
            busy: bounds.executions_max.saturating_sub(free),
            busy_max: bounds.executions_max,
            waiting: waiting.len(),
            waiting_max: bounds.queue_length_max,
            oldest_wait: oldest.map_or(Duration::ZERO, |(_, since)| since.elapsed()),
            wait_max: bounds.queue_wait_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(executions_max: usize, queue_length_max: usize) -> Bounds {
        Bounds {
            executions_max,
            queue_length_max,
            queue_wait_max: Duration::from_millis(20),
        }
    }

    fn admission(queue_length_max: usize) -> Admission {
        Admission::within(bounds(1, queue_length_max))
    }

    #[tokio::test]
    async fn more_or_fewer_are_admitted_when_the_bound_is_moved() {
        let admission = admission(1);
        let first = admission.admit().await.unwrap();
        admission.rebound(bounds(2, 1));
        let second = admission.admit().await.unwrap();
        assert!(admission.admit().await.is_err());
        admission.rebound(bounds(1, 1));
        tokio::task::yield_now().await;
        drop(first);
        // The permit that came back is the one that the new bound removes.
        assert!(admission.admit().await.is_err());
        drop(second);
        let _only = admission.admit().await.unwrap();
        assert!(admission.admit().await.is_err());
    }

    #[tokio::test]
    async fn one_over_the_queue_is_turned_away_at_once() {
        let admission = admission(0);
        let _held = admission.admit().await.unwrap();
        assert_eq!(admission.admit().await.unwrap_err(), Refused::QueueFull(0));
        assert_eq!(admission.now().waiting, 0);
    }

    #[test]
    fn the_refusal_counts_in_english() {
        let text = |waiting| Refused::QueueFull(waiting).to_string();
        assert_eq!(text(1), "No sandbox is free and 1 request waits already");
        assert_eq!(text(2), "No sandbox is free and 2 requests wait already");
    }

    #[tokio::test]
    async fn who_waits_too_long_is_turned_away_and_leaves_the_queue() {
        let admission = admission(1);
        let _held = admission.admit().await.unwrap();
        let refused = admission.admit().await.unwrap_err();
        assert_eq!(refused, Refused::WaitedTooLong(20));
        assert_eq!(admission.now().waiting, 0);
    }

    #[tokio::test]
    async fn a_permit_that_is_dropped_admits_the_next() {
        let admission = admission(1);
        drop(admission.admit().await.unwrap());
        assert!(admission.admit().await.is_ok());
    }
}
