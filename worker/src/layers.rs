//! The layers of confinement, one file each, and the one error that names them.
//!
//! A layer is a few functions that do their step or say why not; which steps and in which order is
//! `confine.rs`'s business for the worker and `sandbox.rs`'s for a sandbox.

pub mod apparmor;
pub mod descriptors;
pub mod identity;
pub mod kill_timer;
pub mod landlock;
pub mod process;
pub mod rlimits;
pub mod scratch;
pub mod seccomp;

use std::fmt::Display;

/// A layer that could not be put in place. Whoever sees it gives up: there is no second best.
#[derive(Debug, thiserror::Error)]
#[error("layer {layer}: {step}: {cause}")]
pub struct LayerError {
    layer: &'static str,
    step: &'static str,
    cause: String,
}

impl LayerError {
    /// What is asked for can't be right.
    pub fn refused(layer: &'static str, step: &'static str) -> Self {
        Self::at(layer, step)("refused")
    }

    /// For `map_err`: keeps what failed beside why.
    fn at<E: Display>(layer: &'static str, step: &'static str) -> impl FnOnce(E) -> Self {
        move |cause| Self {
            layer,
            step,
            cause: cause.to_string(),
        }
    }
}
