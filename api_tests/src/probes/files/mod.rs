//! Files: reading and listing files of the host or of another run, and changing anything but `tmp`.

mod other_runs;
mod outside;
mod questions;
mod reading;
mod runner;
mod set_id;

use crate::probe::{Need, Probe};

/// The probes of the group, in parts.
pub const PARTS: &[&[Probe]] = &[
    reading::PROBES,
    runner::PROBES,
    outside::PROBES,
    set_id::PROBES,
    questions::PROBES,
    other_runs::PROBES,
];

/// An attack on decoys.
const fn harm_to(
    decoys: &'static [Need],
    name: &'static str,
    shows: &'static str,
    code: &'static str,
) -> Probe {
    Probe::harm(name, shows, code).needs(decoys)
}
