//! The configuration as it is now, which a reload changes.

use super::model::Config;
use super::settings::{Origin, Settings};
use parking_lot::RwLock;
use std::sync::Arc;
use std::time::SystemTime;
use toml::Value;

/// The configuration as it is now. Code that needs several values takes the configuration once, so
/// that one request sees one configuration.
#[derive(Debug)]
pub struct Current {
    config: RwLock<Arc<Config>>,
    last_read: RwLock<LastRead>,
    /// The settings that it was read from: at the start, and last. None if nothing needs them.
    settings: RwLock<Option<[Arc<Settings>; 2]>>,
}

/// When configurations were read last.
#[derive(Debug, Clone, Copy)]
pub struct LastRead {
    /// When the configuration that applies was read.
    pub at: SystemTime,
    /// Whether another one was read since then and refused.
    pub refused_since: bool,
}

impl LastRead {
    fn now() -> Self {
        Self {
            at: SystemTime::now(),
            refused_since: false,
        }
    }
}

impl Current {
    /// Begins with this one.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        Self {
            config: RwLock::new(config),
            last_read: RwLock::new(LastRead::now()),
            settings: RwLock::default(),
        }
    }

    /// Keeps the settings of the configuration that counts from now on.
    pub fn set_settings(&self, settings: Settings) {
        let last = Arc::new(settings);
        let mut kept = self.settings.write();
        let started = kept.as_ref().map_or(&last, |[started, _]| started);
        *kept = Some([Arc::clone(started), last]);
    }

    /// Where a value of the current configuration came from. A value that waits for a restart still
    /// has the source of the start.
    #[must_use]
    pub fn origin(&self, path: &[String], value: &Value) -> Origin {
        let settings = self.settings.read();
        let Some([started, last]) = settings.as_ref() else {
            return Origin::Default;
        };
        match started.say(path, value) && !last.say(path, value) {
            true => started.origin(path).clone(),
            false => last.origin(path).clone(),
        }
    }

    /// The current configuration.
    #[must_use]
    pub fn get(&self) -> Arc<Config> {
        Arc::clone(&self.config.read())
    }

    /// Replaces the current configuration.
    pub fn set(&self, config: Arc<Config>) {
        *self.config.write() = config;
        *self.last_read.write() = LastRead::now();
    }

    /// Notes that another configuration was read and refused.
    pub fn refused(&self) {
        self.last_read.write().refused_since = true;
    }

    /// When configurations were read last.
    #[must_use]
    pub fn last_read(&self) -> LastRead {
        *self.last_read.read()
    }
}
