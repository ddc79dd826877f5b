//! The configuration as it is now, which a reload changes.

use super::model::Config;
use parking_lot::RwLock;
use std::sync::Arc;

/// The configuration as it is now. Code that needs more than one value of it asks once, so that one
/// configuration answers a request.
#[derive(Debug)]
pub struct Current(RwLock<Arc<Config>>);

impl Current {
    /// Begins with this one.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        Self(RwLock::new(config))
    }

    /// As it is now.
    #[must_use]
    pub fn get(&self) -> Arc<Config> {
        Arc::clone(&self.0.read())
    }

    /// Takes the place of what was there.
    pub fn set(&self, config: Arc<Config>) {
        *self.0.write() = config;
    }
}
