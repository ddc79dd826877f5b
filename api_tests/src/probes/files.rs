//! Files: reading and listing what is the host's or another run's, and changing anything but `tmp`.

mod other_runs;
mod outside;
mod questions;
mod reading;
mod runner;

use crate::probe::Probe;

/// The group, part by part.
pub const PARTS: &[&[Probe]] = &[
    reading::PROBES,
    runner::PROBES,
    outside::PROBES,
    questions::PROBES,
    other_runs::PROBES,
];
