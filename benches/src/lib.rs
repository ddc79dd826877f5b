//! Measures the service from outside, as its clients see it, beside three others that execute the
//! same code; and its parts, one by one.
//!
//! `make bench` runs it all and writes docs/bench. The guards in `tests` use the same parts.

#![forbid(unsafe_code)]

pub mod contender;
pub mod machine;
pub mod measure;
pub mod parts;
pub mod report;
pub mod results;
pub mod sampling;
pub mod targets;
pub mod workload;
