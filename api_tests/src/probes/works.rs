//! What must work: code as course authors write it, and what the LMS needs.

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
