//! The service's configuration: read, checked and completed before anything else happens.
//!
//! `load.rs` says where it comes from, `keys.rs` what a key may hold, and docs/configuration.md
//! what it means. An error names the key, the value, the source, and what would be right.

mod capacity;
pub mod current;
mod defaults;
mod error;
mod execution;
pub mod import;
pub mod keys;
pub mod load;
pub mod mapped_ids;
mod model;
pub mod network;
pub mod note;
mod original_yaml;
pub mod print;
mod reload;
pub mod settings;
mod suggest;
pub mod value_type;
mod variables;
mod yaml;

pub use error::ConfigError;
pub use model::{
    Cgroup, CodeJailLimits, Config, Layers, LibraryCache, LimitOverrides, Log, LogFormat, Metrics,
    Peers, Python, Sandbox, WORKERS_MAX,
};
pub use reload::Change;

#[cfg(test)]
mod tests;
