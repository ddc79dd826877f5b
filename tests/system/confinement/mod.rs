//! What code in a sandbox can't reach, and which layer prevents that.

mod boundaries;
mod claims;
mod counted_by_user;
mod hosts;
mod image;
mod influence;
mod isolation;
mod kernel;
mod layers;
mod long_calls;
mod one_layer;
mod proc;
mod traps;
mod unprivileged;
mod weaknesses;
