//! The parts that all requests share. This file decides nothing.

use crate::config::current::Current;
use crate::health::Health;
use crate::http::budget::Budget;
use crate::http::pace::Pace;
use crate::library_cache::LibraryCache;
use crate::pool::Pool;
use crate::received_signals::ReceivedSignals;
use crate::request::admission::Admission;
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;

/// The parts that all requests share.
#[derive(Debug, Clone)]
pub struct Service {
    /// The configuration, which a reload changes.
    pub config: Arc<Current>,
    /// The queue before the pool.
    pub admission: Arc<Admission>,
    /// Ready sandboxes; none until the first worker is warm.
    pub pool: Arc<OnceLock<Pool>>,
    /// Cancelled when the service shall finish its executions and end.
    pub drain: CancellationToken,
    /// Whether executing is safe.
    pub health: Arc<Health>,
    /// Which signals the service was sent.
    pub signals: Arc<ReceivedSignals>,
    /// The bytes of bodies and answers that are held.
    pub bodies: Arc<Budget>,
    /// How fast bodies may come in tiny pieces.
    pub pace: Arc<Pace>,
    /// Bytecode of course libraries.
    pub libraries: Arc<LibraryCache>,
}
