//! plants
use crate::probe::Probe;
/// The group.
pub const PROBES: &[Probe] = &[];
