//! Black-box probes of a running codejail: what is denied, what is allowed, what is supported.
//!
//! It knows nothing of the service but its address and the v0 API.

pub mod client;
pub mod probe;
pub mod probes;
