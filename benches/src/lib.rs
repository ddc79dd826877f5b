//! Measures the service from outside, as its clients see it, beside three other contenders that
//! execute the same code. Also measures parts of the service, one by one.
//!
//! `make bench` runs all measurements and writes docs/bench. The tests in `tests` use the same
//! parts.

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
