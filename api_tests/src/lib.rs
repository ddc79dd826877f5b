//! Black-box probes of a running codejail: what it denies, what it allows, what it supports.
//!
//! The probes know only the address of the service and the v0 API. They can also be run in a bare
//! Python, where each attack must succeed.

#![forbid(unsafe_code)]

pub mod bare;
pub mod base_url;
pub mod client;
pub mod comparable;
pub mod decoys;
pub mod original;
pub mod outcome;
pub mod probe;
pub mod probes;
pub mod report;
pub mod run;
pub mod target;
pub mod victim;
