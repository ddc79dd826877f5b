//! The pool: keeps workers alive and warm, and hands out sandboxes that are ready.
//!
//! The pool knows no HTTP and never sees a job. Each worker has one task (`pool/worker/mod.rs`)
//! that owns its conversation. Those tasks share the shelf of ready sandboxes. A new worker's
//! sandboxes are on a shelf of their own until the startup checks have passed in them.

mod counts;
mod keeper;
mod keepers;
mod live;
mod pause;
mod prepare;
mod ready;
mod shared;
mod slots;
mod worker;
mod worker_log;

pub use keepers::{Pool, new_tag};
pub use ready::{Pipes, ReadySandbox, Remains, SandboxGuard, Shelf};
pub use shared::CheckWorker;
pub use worker::WorkerError;
