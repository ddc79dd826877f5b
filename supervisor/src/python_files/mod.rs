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
/// How long an upgrade may take. If changes go on for longer, they are not an upgrade, and the
/// service does not wait for their end.
const UNSETTLED_MAX: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 60 });
/// How often all files are looked at. That finds changes that the kernel does not report: on
/// network file systems, or where no more watches are allowed.
const LOOK_EVERY: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 60 });
/// The kernel dates a change by a clock that may be late by one tick, of at most 10 ms.
const TICK: Duration = Duration::from_millis(10);

/// Whether the files change.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing changes. The next change is a new one.
    #[default]
    Settled,
    /// Something has changed, and more changes may follow. No worker is started.
    Changing,
    /// The changes have gone on for too long to wait for their end.
    Unsettled,
}

/// What is known of the files.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Status {
    /// The number of changes. A change and all that follow before the files are settled count as
    /// one.
    version: u64,
    stage: Stage,
}

/// Knows when Python's files change.
#[derive(Debug)]
pub struct PythonFiles {
    bin: PathBuf,
    status: channel::Sender<Status>,
    /// The number of changes that the kernel has reported.
    words: AtomicU64,
    /// Where the files are, and when the worker that named these places was started. The time is
    /// removed once the files were compared with it.
    places: Mutex<(Places, Option<SystemTime>)>,
    new_places: Notify,
    /// None before the first worker has said where the files are, and also if the host refuses
    /// watches.
    watched: Mutex<Option<Arc<Watched>>>,
}

/// Python's files as they were at a moment.
#[derive(Debug, Clone)]
pub struct PythonVersion {
    files: Arc<PythonFiles>,
    number: u64,
}

impl PythonVersion {
    /// Whether nothing has changed since then. A change that a run can see is seen here too.
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
    /// Watches the files of the interpreter `bin`. Before a worker has said where the files are, no
    /// change is known.
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

    /// Sets the places to watch. A worker that was started at `started` imports from `libraries`.
    /// Directories below `scratch` belong to a run, and are left out.
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

    /// Takes in the changes that the kernel has reported. It does not wait.
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

    /// Notes that the files have changed, and may go on changing.
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

    /// Watches all directories that exist now, and looks at all files. The old watches are removed
    /// when the new ones are there, and what they report until then counts.
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

    /// Waits until there is a change, or until there are other places to watch.
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

    /// Waits until the kernel reports a change that counts.
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

    /// Waits until nothing changes any more.
    async fn settle(&self) {
        let since = Instant::now();
        loop {
            let Status { stage, .. } = *self.status.borrow();
            if stage == Stage::Settled {
                return;
            }
            let quiet = self.is_quiet().await;
            if !quiet {
                // A look at all files after each change would take a processor from the upgrade.
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
                // Workers that were started meanwhile may have files of any version.
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

    /// Whether nothing changes for a while in all files that exist now.
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
    // The end comes with the end of the runtime.
    let _ = status
        .wait_for(|status| status.stage != Stage::Settled)
        .await;
}

#[cfg(test)]
mod tests;
