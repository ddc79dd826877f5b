//! Faults that are put in: each ends in what docs/faults.md says.

mod host;
mod log;
mod processes;
mod python;
