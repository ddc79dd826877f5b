//! The layers of confinement, one file each, and the one error that names them.
//!
//! A layer is a few functions. Each does its step, or says why it could not. Which steps there are,
//! and their order, is in `confine.rs` for the worker and in `sandbox.rs` for a sandbox.

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

/// A layer that could not be put in place. The caller must give up, never go on without the layer.
#[derive(Debug, thiserror::Error)]
#[error("layer {layer}: {step}: {cause}")]
pub struct LayerError {
    layer: &'static str,
    step: &'static str,
    cause: String,
}

impl LayerError {
    /// The request can't be right.
    pub fn refused(layer: &'static str, step: &'static str) -> Self {
        Self::at(layer, step)("refused")
    }

    /// For `map_err`: the error names the step that failed, and keeps the reason.
    fn at<E: Display>(layer: &'static str, step: &'static str) -> impl FnOnce(E) -> Self {
        move |cause| Self {
            layer,
            step,
            cause: cause.to_string(),
        }
    }
}
