//! Bytecode of course libraries, by the SHA-256 of the whole zip file.
//!
//! A client sends the same `python_lib.zip` with every execution of a course, without bytecode. The
//! first two executions of a library run as if there were no cache. Beside the second a sandbox
//! compiles the library, which it is given alone: no globals, no author's code, nothing of a
//! learner. Only executions of the same zip get the result. So a library can only corrupt its own
//! bytecode (decision 9).

mod budget;
mod compile;
mod store;

use crate::config::current::Current;
use crate::pool::Pool;
use crate::request::admission::Admission;
use budget::Budget;
use bytes::Bytes;
use metrics::counter;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Instant;
use store::{CompileTicket, Compiled, Known, Store};
use tokio::sync::Semaphore;

/// Largest library that is cached: to hash it takes some milliseconds. Libraries of courses have up
/// to 1 MB.
const LIBRARY_BYTES_MAX: usize = 4 << 20;
/// Libraries that may wait to be compiled, each with its bytes. A library for which there is no
/// room is compiled when it comes again.
const PENDING_MAX: usize = 8;

/// The key of a library in the cache.
type Key = [u8; 32];

/// All that is known of libraries.
#[derive(Debug)]
pub struct LibraryCache {
    config: Arc<Current>,
    store: Mutex<Store>,
    budget: Mutex<Budget>,
    /// Compiles one library at a time, so that executions have all other cores.
    compiler: Semaphore,
}

impl LibraryCache {
    /// An empty cache. It keeps at most as many bytes as configured; 0 turns it off.
    #[must_use]
    pub fn new(config: Arc<Current>) -> Self {
        let bytes_max = config.get().library_cache.bytes_max;
        Self {
            config,
            store: Mutex::new(Store::new(bytes_max)),
            budget: Mutex::new(Budget::new()),
            compiler: Semaphore::new(1),
        }
    }

    /// Forgets everything: Python may be another one from now on.
    pub fn reset(&self, bytes_max: usize) {
        let mut store = self.store.lock();
        *store = store.successor(bytes_max);
    }

    /// The bytecode of `library`, if it is known. If the library was only seen before, a sandbox of
    /// `pool` compiles it in the background, when no request waits for admission.
    pub fn bytecode(
        self: &Arc<Self>,
        library: &[u8],
        pool: &Pool,
        admission: &Arc<Admission>,
    ) -> Option<Bytes> {
        if !self.store.lock().is_on() || library.len() > LIBRARY_BYTES_MAX {
            return None;
        }
        let key: Key = Sha256::digest(library).into();
        let mut store = self.store.lock();
        let bytecode = match store.find(&key) {
            Some(Known::Bytecode(bytecode)) => Some(bytecode),
            Some(Known::NotCompilable) => None,
            known @ (None | Some(Known::Failed(_))) => {
                if (known.is_some() || store.was_seen(&key))
                    && let Some(ticket) = store.ticket(key, PENDING_MAX)
                {
                    let (cache, pool) = (Arc::clone(self), pool.clone());
                    let admission = Arc::clone(admission);
                    // It is copied, since the slice would keep the whole request in memory.
                    let library = library.to_vec();
                    tokio::spawn(async move {
                        let compiled = cache.compile(&ticket, &library, &pool, &admission).await;
                        cache.store.lock().keep(ticket, compiled);
                    });
                }
                None
            }
        };
        drop(store);
        match bytecode {
            Some(_) => counter!("codejail_library_cache_hits_total").increment(1),
            None => counter!("codejail_library_cache_misses_total").increment(1),
        }
        bytecode
    }

    /// Compiles a library when it is its turn, if there is time for it.
    async fn compile(
        &self,
        ticket: &CompileTicket,
        library: &[u8],
        pool: &Pool,
        admission: &Admission,
    ) -> Compiled {
        // The semaphore is never closed.
        let Ok(_turn) = self.compiler.acquire().await else {
            return Compiled::Postponed;
        };
        if !self.budget.lock().allows() {
            counter!("codejail_library_cache_postponed_total").increment(1);
            return Compiled::Postponed;
        }
        let started = Instant::now();
        let limits = self.config.get().limits(None);
        let (compiled, used) = compile::compile(library, limits, pool, admission).await;
        self.budget.lock().spend(used);
        let name = ticket.name();
        let (milliseconds, library) = (started.elapsed().as_millis(), library.len());
        match compiled {
            Ok(bytecode) => {
                counter!("codejail_library_cache_compiled_total").increment(1);
                let bytes = bytecode.as_ref().map_or(0, Bytes::len);
                tracing::info!(
                    event = "library_compiled",
                    name,
                    library,
                    bytes,
                    milliseconds,
                    "library compiled"
                );
                bytecode.map_or(Compiled::NotCompilable, Compiled::Bytecode)
            }
            Err(error) => {
                counter!("codejail_library_cache_failed_total").increment(1);
                tracing::warn!(event = "library_compile_failed", name, library, milliseconds, %error, "library not compiled");
                match error.is_the_librarys() {
                    true => Compiled::NotCompilable,
                    false => Compiled::Failed,
                }
            }
        }
    }
}
