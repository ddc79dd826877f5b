//! Whether Python's files are still those that a worker was started with. After an upgrade in place
//! an old worker has the old interpreter and old modules, and its runs import new ones, which gives
//! wrong answers. This module reads names and times of files, never their contents, and runs
//! nothing.
//!
//! Decision 10 says why it is done like this.

mod fingerprint;
mod watch;

use fingerprint::{Fingerprint, Places};
use metrics::counter;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::{Notify, watch as channel};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use watch::Watched;

/// An upgrade counts as finished when nothing has changed for this long. A package is unpacked with
/// pauses of some milliseconds.
const SETTLED_AFTER: Duration = Duration::from_millis(500);
/// How long an upgrade may take. If changes go on for longer they are no upgrade, and the service
/// does not wait for their end.
const UNSETTLED_MAX: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 60 });
/// How often all files are looked at, for changes that the kernel does not tell of: on network file
/// systems, or where there may be no more watches.
const LOOK_EVERY: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 60 });
/// The kernel dates a change by a clock that is late by one tick of at most 10 ms.
const TICK: Duration = Duration::from_millis(10);

/// Whether the files change.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing changes. What does is news.
    #[default]
    Settled,
    /// Something has changed, and more may follow: no worker is started.
    Changing,
    /// That has gone on for too long to be waited for.
    Unsettled,
}

/// What is known of the files.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Status {
    /// Counts changes, each with all that follow before the files are settled.
    version: u64,
    stage: Stage,
}

/// Knows when Python's files change.
#[derive(Debug)]
pub struct PythonFiles {
    bin: PathBuf,
    status: channel::Sender<Status>,
    /// Counts what the kernel has told.
    words: AtomicU64,
    /// And when the worker was started that named them, if that was not looked into yet.
    places: Mutex<(Places, Option<SystemTime>)>,
    new_places: Notify,
    /// None before the first worker has said where the files are, and where the host refuses it.
    watched: Mutex<Option<Arc<Watched>>>,
}

/// Python's files as they were at a moment.
#[derive(Debug, Clone)]
pub struct PythonVersion {
    files: Arc<PythonFiles>,
    number: u64,
}

impl PythonVersion {
    /// Whether nothing has changed since. A change that a run has seen is seen here.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.files.notice();
        self.files.status.borrow().version == self.number
    }

    /// Waits for a change.
    pub async fn changed(&self) {
        let mut status = self.files.status.subscribe();
        // The sender is in `files`.
        let _ = status
            .wait_for(|status| status.version != self.number)
            .await;
    }
}

impl PythonFiles {
    /// Of the interpreter `bin`. Nothing is known to change before a worker has said where the
    /// files are.
    #[must_use]
    pub fn new(bin: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            bin,
            status: channel::Sender::default(),
            words: AtomicU64::new(0),
            places: Mutex::default(),
            new_places: Notify::new(),
            watched: Mutex::default(),
        })
    }

    /// Waits until nothing changes, for a worker that is about to be started.
    pub async fn settled(self: &Arc<Self>) -> PythonVersion {
        let mut status = self.status.subscribe();
        let settled = status.wait_for(|status| status.stage != Stage::Changing);
        // The sender is in `self`.
        let number = settled.await.map_or(0, |status| status.version);
        let files = Arc::clone(self);
        PythonVersion { files, number }
    }

    /// A worker that was started at `started` imports from `libraries`. Those below `scratch` are a
    /// run's own.
    pub fn look_at(&self, libraries: &[PathBuf], scratch: &Path, started: SystemTime) {
        let mut libraries = libraries.to_vec();
        libraries.retain(|path| !path.starts_with(scratch));
        let program = self.bin.clone();
        let places = Places { program, libraries };
        let mut known = self.places.lock();
        if known.0 != places {
            *known = (places, Some(started));
            self.new_places.notify_one();
        }
    }

    /// Watches, for as long as the service runs.
    pub async fn keep_watch(self: Arc<Self>) {
        self.new_places.notified().await;
        loop {
            let before = self.watch().await;
            self.wait_for_change(before).await;
            self.settle().await;
        }
    }

    /// Takes in what the kernel says has changed. It does not wait.
    fn notice(&self) {
        let watched = self.watched.lock();
        if watched
            .as_ref()
            .is_some_and(|watched| watched.has_changed())
        {
            self.words.fetch_add(1, Ordering::Relaxed);
            self.change();
        }
    }

    /// The files are others from now on, and may be others again in a moment.
    fn change(&self) {
        let news = self.status.send_if_modified(|status| {
            let news = status.stage == Stage::Settled;
            if news {
                status.version += 1;
                status.stage = Stage::Changing;
            }
            news
        });
        if news {
            counter!("codejail_python_changes_total").increment(1);
            tracing::warn!(
                event = "python_changed",
                "Python or its libraries were changed in place; workers are replaced"
            );
        }
    }

    /// Watches all directories there are now, and looks at all files. The old watches go when the
    /// new ones are there, and their last word counts.
    async fn watch(&self) -> Fingerprint {
        let (places, started) = {
            let mut known = self.places.lock();
            (known.0.clone(), known.1.take())
        };
        let begun = spawn_blocking(move || {
            let watched = Watched::begin(&places);
            (watched, Fingerprint::take(&places))
        });
        let Ok((watched, fingerprint)) = begun.await else {
            // The runtime is ending.
            return std::future::pending().await;
        };
        if let Err(error) = &watched {
            tracing::warn!(
                event = "python_unwatched",
                %error,
                "Python's files can't be watched (fs.inotify.max_user_watches, max_user_instances): \
                 a change is noticed within {LOOK_EVERY:?}"
            );
        }
        let mut current = self.watched.lock();
        let last_word = current.as_ref().is_some_and(|old| old.has_changed());
        self.words
            .fetch_add(u64::from(last_word), Ordering::Relaxed);
        *current = watched.ok().map(Arc::new);
        drop(current);
        if last_word || started.is_some_and(|started| fingerprint.is_newer_than(started - TICK)) {
            self.change();
        }
        fingerprint
    }

    /// Until there is a change, or other places to look at.
    async fn wait_for_change(&self, before: Fingerprint) {
        let mut status = self.status.subscribe();
        loop {
            tokio::select! {
                // Another task may have noticed the change.
                () = unsettled(&mut status) => return,
                () = self.new_places.notified() => return,
                () = self.word() => {}
                () = sleep(LOOK_EVERY) => {
                    let places = self.places.lock().0.clone();
                    let looking = spawn_blocking(move || Fingerprint::take(&places));
                    if looking.await.is_ok_and(|now| now != before) {
                        self.change();
                    }
                }
            }
        }
    }

    /// Until the kernel has said something that counts.
    async fn word(&self) {
        let watched = self.watched.lock().clone();
        let Some(watched) = watched else {
            return std::future::pending().await;
        };
        let before = self.words.load(Ordering::Relaxed);
        while self.words.load(Ordering::Relaxed) == before
            && watched.word(|| self.notice()).await.is_ok()
        {}
    }

    /// Until nothing changes any more.
    async fn settle(&self) {
        let since = Instant::now();
        loop {
            let Status { stage, .. } = *self.status.borrow();
            if stage == Stage::Settled {
                return;
            }
            let quiet = self.is_quiet().await;
            if !quiet {
                // Looking at everything after each change would take a processor from the upgrade.
                sleep(SETTLED_AFTER).await;
            }
            let late = since.elapsed() >= UNSETTLED_MAX;
            match stage {
                Stage::Settled => {}
                Stage::Changing if quiet => self.go_on(Stage::Settled),
                Stage::Changing if late => {
                    tracing::error!(
                        event = "python_unsettled",
                        "Python's files have changed for {UNSETTLED_MAX:?}: executions go on, and \
                         may mix old and new files until the changes end"
                    );
                    self.go_on(Stage::Unsettled);
                }
                // Workers that were started meanwhile may be of any version.
                Stage::Unsettled if quiet => {
                    self.go_on(Stage::Settled);
                    self.change();
                }
                Stage::Changing | Stage::Unsettled => {}
            }
        }
    }

    fn go_on(&self, stage: Stage) {
        self.status.send_modify(|status| status.stage = stage);
    }

    /// Whether nothing changes for a while, of all that is there now.
    async fn is_quiet(&self) -> bool {
        let words = self.words.load(Ordering::Relaxed);
        let before = self.watch().await;
        if timeout(SETTLED_AFTER, self.word()).await.is_ok() {
            return false;
        }
        let places = self.places.lock().0.clone();
        let looking = spawn_blocking(move || Fingerprint::take(&places));
        let same = looking.await.is_ok_and(|now| now == before);
        self.notice();
        same && self.words.load(Ordering::Relaxed) == words
    }
}

async fn unsettled(status: &mut channel::Receiver<Status>) {
    // Its end is the runtime's.
    let _ = status
        .wait_for(|status| status.stage != Stage::Settled)
        .await;
}

#[cfg(test)]
mod tests;
