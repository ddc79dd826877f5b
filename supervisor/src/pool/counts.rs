//! How many workers are in which state, for metrics.

use crate::metrics::labels::WorkerState;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many workers are in which state.
#[derive(Debug, Default)]
pub struct Counts {
    states: [AtomicUsize; WorkerState::ALL.len()],
    preload_failures: AtomicUsize,
}

/// One worker's entry in the counts. It counts until it is dropped.
#[derive(Debug)]
pub struct Counted {
    counts: Arc<Counts>,
    state: WorkerState,
}

impl Counts {
    /// Counts one worker more.
    pub fn enter(self: &Arc<Self>, state: WorkerState) -> Counted {
        self.states[state as usize].fetch_add(1, Ordering::Relaxed);
        Counted {
            counts: Arc::clone(self),
            state,
        }
    }

    /// How many are in this state.
    pub fn of(&self, state: WorkerState) -> usize {
        self.states[state as usize].load(Ordering::Relaxed)
    }

    /// Notes how many modules the last warm worker could not import.
    pub fn set_preload_failures(&self, count: usize) {
        self.preload_failures.store(count, Ordering::Relaxed);
    }

    /// How many modules the last warm worker could not import.
    pub fn preload_failures(&self) -> usize {
        self.preload_failures.load(Ordering::Relaxed)
    }
}

impl Counted {
    /// Notes the worker's new state.
    pub fn move_to(&mut self, state: WorkerState) {
        *self = self.counts.enter(state);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counts.states[self.state as usize].fetch_sub(1, Ordering::Relaxed);
    }
}
