//! Faults that tests cause: each ends as docs/faults.md says.

mod host;
mod log;
mod processes;
mod python;
