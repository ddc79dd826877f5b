//! What must work: code that course authors write, and what the LMS relies on.

mod allowed;
mod answers;
mod errors;
mod language;
mod libraries;

use crate::probe::Probe;

/// The probes of the group, in parts.
pub const PARTS: &[&[Probe]] = &[
    language::PROBES,
    answers::PROBES,
    libraries::PROBES,
    allowed::PROBES,
    errors::FILES,
    errors::PROCESSES,
    errors::NETWORK,
    errors::BOUNDS,
    errors::REQUESTS,
];
