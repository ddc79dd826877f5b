//! The log of a service. Tests wait for events by their ids (`event="worker_retired"`), which stay
//! when a sentence changes.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A service's standard error, read all the time, so that the service never waits for its reader.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<String>>);

impl Log {
    /// Reads until the other side closes.
    pub fn of(stderr: impl Read + Send + 'static) -> Self {
        let log = Self::default();
        let kept = log.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let mut log = kept.lock();
                log.push_str(&String::from_utf8_lossy(&line));
                log.push('\n');
            }
        });
        log
    }

    /// The whole log so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.lock().clone()
    }

    /// The lines of an event, so far.
    #[must_use]
    pub fn events(&self, id: &str) -> Vec<String> {
        let field = format!(" event=\"{id}\"");
        let log = self.lock();
        let lines = log.lines().filter(|line| line.contains(&field));
        lines.map(str::to_owned).collect()
    }

    /// The address on which the service listens, if the log names it.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        // Does not use the event's id: benchmarks also run earlier builds, which may have none.
        let text = self.text();
        let (_, rest) = text.split_once("listening on ")?;
        // The line may be JSON.
        let part = |character: char| character.is_ascii_hexdigit() || ".:[]".contains(character);
        let end = rest.find(|character| !part(character))?;
        rest[..end].parse().ok()
    }

    /// Whether the log is complete: the service and all its processes have closed their side.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
