//! Configurations as operators write them: files and variables of a test, read as the service reads
//! them.

use super::keys::{Applies, KEYS};
use super::load::{Flag, Loaded, Sources};
use super::mapped_ids::MappedIds;
use super::note::Note;
use super::print;
use super::{Config, ConfigError, LimitOverrides};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

mod listed;
mod mistakes;
mod reload;
mod sources;

/// Files and variables of one test. The files are removed with it.
#[derive(Default)]
struct Given {
    sources: Sources,
    files: Vec<PathBuf>,
}

impl Given {
    fn file(&mut self, suffix: &str, text: &str) -> PathBuf {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("cj-config-{}-{number}.{suffix}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        self.files.push(path.clone());
        path
    }

    fn toml(mut self, text: &str) -> Self {
        self.sources.file = Some(self.file("toml", text));
        self
    }

    fn yaml(mut self, text: &str) -> Self {
        let path = self.file("yml", text);
        self.variable("CODEJAIL_SERVICE_CFG", path.to_str().unwrap())
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.insert(name.into(), value.into());
        self
    }

    fn flag(mut self, name: &'static str, key: &'static str, text: &str) -> Self {
        let text = text.to_owned();
        self.sources.flags.push(Flag { name, key, text });
        self
    }

    fn load(&self) -> Loaded {
        self.sources
            .load()
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn config(&self) -> Config {
        self.load().config
    }

    fn sources_error(&self) -> ConfigError {
        self.sources.load().unwrap_err()
    }

    /// The error. FILE stands for the name of the file.
    fn error(&self) -> String {
        let error = self.sources_error().to_string();
        match &self.files[..] {
            [file] => error.replace(file.to_str().unwrap(), "FILE"),
            _ => error,
        }
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
    }
}

fn given() -> Given {
    Given::default()
}
