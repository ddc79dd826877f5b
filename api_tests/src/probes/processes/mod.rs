//! Processes: making one, running a program, and every way to touch another process.

mod itself;
mod new;
mod others;
mod signals;

use crate::probe::Probe;

/// The probes of each file. Together they are the group `processes`.
pub const PARTS: &[&[Probe]] = &[new::PROBES, signals::PROBES, others::PROBES, itself::PROBES];
