//! The supervisor's side of its conversation with the spawner.

mod configure;
mod error;
mod ping;
mod said;

pub use error::SpawnerLinkError;

use codejail_protocol::ScratchName;
use codejail_protocol::control::LayerState;
use codejail_protocol::spawn::{
    FoundAppArmor, SpawnerConfig, SpawnerReport, SpawnerRequest, WorkerBounds, WorkerId,
};
use codejail_transport::PacketSocket;
use codejail_transport_asynchronous::AsyncPacketSocket;
use configure::{SpawnerHost, configure};
use metrics::counter;
use parking_lot::Mutex;
use said::log_said;
use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long the spawner may take to take an order and to answer it. It answers in milliseconds; one
/// that is stopped or stuck for so long is as good as dead, and a service without a spawner ends.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Whoever waits for a report.
#[derive(Debug, Default)]
struct Waiting {
    launches: BTreeMap<WorkerId, oneshot::Sender<Result<i32, String>>>,
    ends: BTreeMap<WorkerId, oneshot::Sender<i32>>,
    cleanings: HashMap<String, oneshot::Sender<Cleaned>>,
    /// At most one `Ping` is on its way.
    pong: Option<oneshot::Sender<()>>,
}

/// What became of one directory or seat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Whether it is out of the way or empty.
    pub removed: bool,
    /// Bytes that the files of a seat took; none of a directory.
    pub bytes: Option<u64>,
}

/// What became of the directories and seats that the spawner was to clean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleanings {
    /// Those that are gone for good, or stay.
    pub done: u64,
    /// Those of them that stay.
    pub failed: u64,
}

/// The spawner as the rest of the service sees it. When it is gone, `gone` is cancelled and every
/// waiter is told by its closed channel.
#[derive(Debug)]
pub struct SpawnerLink {
    socket: AsyncPacketSocket,
    waiting: Mutex<Waiting>,
    cleanings: watch::Sender<Cleanings>,
    gone: CancellationToken,
    host: SpawnerHost,
}

impl SpawnerLink {
    /// Configures the spawner and starts listening to its reports.
    ///
    /// # Errors
    /// It can't do what the configuration wants, or is not there.
    pub async fn connect(
        socket: PacketSocket,
        config: SpawnerConfig,
        gone: CancellationToken,
    ) -> Result<Arc<Self>, SpawnerLinkError> {
        let socket = AsyncPacketSocket::new(socket)?;
        let host = timeout(SILENCE_MAX, configure(&socket, config))
            .await
            .map_err(|_| SpawnerLinkError::Silent)??;
        let link = Arc::new(Self {
            socket,
            waiting: Mutex::default(),
            cleanings: watch::Sender::default(),
            gone,
            host,
        });
        tokio::spawn(Arc::clone(&link).listen());
        Ok(link)
    }

    /// What became of the spawner's layers.
    pub fn layers(&self) -> &[LayerState] {
        &self.host.layers
    }

    /// Whether sandboxes have seats: file systems of their own, named when their worker is
    /// launched.
    pub fn seats(&self) -> bool {
        self.host.seats
    }

    /// Whether sandboxes of one user can have user namespaces.
    pub fn user_namespaces(&self) -> bool {
        self.host.user_namespaces
    }

    /// Whether each worker has a cgroup whose bounds the kernel enforces.
    pub fn cgroup_bounds(&self) -> bool {
        self.host.cgroup_bounds
    }

    /// What the spawner wants the operator to know.
    pub fn warnings(&self) -> &[String] {
        &self.host.warnings
    }

    /// What became of the directories and seats so far.
    pub fn cleanings(&self) -> watch::Receiver<Cleanings> {
        self.cleanings.subscribe()
    }

    /// What there is of AppArmor.
    pub fn apparmor(&self) -> &FoundAppArmor {
        &self.host.apparmor
    }

    /// Waits for a conversation's end, but not for ever.
    async fn unless_silent<T>(
        &self,
        answer: impl Future<Output = Result<T, SpawnerLinkError>>,
    ) -> Result<T, SpawnerLinkError> {
        match timeout(SILENCE_MAX, answer).await {
            Ok(answer) => answer,
            Err(_) => {
                let error = SpawnerLinkError::Silent;
                tracing::error!(event = "spawner_timed_out", "{error}");
                self.gone.cancel();
                Err(error)
            }
        }
    }

    /// Starts a worker; returns its pid, and a channel that tells its exit status once it has
    /// ended.
    ///
    /// # Errors
    /// It could not be started, or the spawner is gone or silent.
    pub async fn launch(
        &self,
        worker: WorkerId,
        dir: ScratchName,
        uid: Option<u32>,
        seats: Vec<ScratchName>,
        descriptors: [OwnedFd; 2],
    ) -> Result<(i32, oneshot::Receiver<i32>), SpawnerLinkError> {
        let (launched, result) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock();
            waiting.launches.insert(worker, launched);
            waiting.ends.insert(worker, ended);
        }
        let order = SpawnerRequest::Launch {
            worker,
            dir,
            uid,
            seats,
        };
        let descriptors = descriptors.each_ref().map(AsFd::as_fd);
        self.unless_silent(async {
            self.socket.send(&order, &descriptors).await?;
            match result.await {
                Ok(Ok(pid)) => Ok((pid, end)),
                Ok(Err(error)) => Err(SpawnerLinkError::Launch(error)),
                Err(_) => Err(SpawnerLinkError::Gone),
            }
        })
        .await
    }

    /// Bounds the workers that are launched from now on.
    ///
    /// # Errors
    /// The spawner is gone or silent.
    pub async fn bound(&self, bounds: WorkerBounds) -> Result<(), SpawnerLinkError> {
        let order = SpawnerRequest::Bound(bounds);
        self.unless_silent(async { Ok(self.socket.send(&order, &[]).await?) })
            .await
    }

    /// Kills a worker and so all its sandboxes. Its end is told by the channel of its launch.
    ///
    /// # Errors
    /// The spawner is gone or silent.
    pub async fn kill(&self, worker: WorkerId) -> Result<(), SpawnerLinkError> {
        let order = SpawnerRequest::Kill { worker };
        self.unless_silent(async { Ok(self.socket.send(&order, &[]).await?) })
            .await
    }

    /// Removes a scratch directory and waits for that; what became of it. If it can't be removed,
    /// that is logged.
    ///
    /// # Errors
    /// The spawner is gone or silent.
    pub async fn clean(&self, dir: ScratchName) -> Result<Cleaned, SpawnerLinkError> {
        let (cleaned, done) = oneshot::channel();
        let name = dir.as_str().to_owned();
        self.waiting.lock().cleanings.insert(name, cleaned);
        self.unless_silent(async {
            self.socket
                .send(&SpawnerRequest::Clean { dir }, &[])
                .await?;
            done.await.map_err(|_| SpawnerLinkError::Gone)
        })
        .await
    }

    /// Passes reports on until there are no more. Without a spawner the service ends.
    async fn listen(self: Arc<Self>) {
        loop {
            match self.socket.receive().await {
                Ok(Some(report)) => {
                    if !self.pass_on(report) {
                        tracing::error!(
                            event = "spawner_protocol_broken",
                            "the spawner broke the protocol"
                        );
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(
                        event = "spawner_link_broken",
                        %error,
                        "messages from the spawner can't be read"
                    );
                    break;
                }
            }
        }
        *self.waiting.lock() = Waiting::default();
        self.gone.cancel();
    }

    /// Counts what a sandbox left and is gone; or stays, which is said.
    fn count_cleaning(&self, dir: &ScratchName, error: Option<String>) {
        self.cleanings.send_modify(|cleanings| {
            cleanings.done += 1;
            cleanings.failed += u64::from(error.is_some());
        });
        if let Some(error) = error {
            counter!("codejail_scratch_failures_total").increment(1);
            tracing::error!(
                event = "scratch_removal_failed",
                %dir,
                %error,
                "a scratch directory can't be removed"
            );
        }
    }

    /// Whether the report was legal. A waiter that has left is no fault: it was cancelled.
    fn pass_on(&self, report: SpawnerReport) -> bool {
        let mut waiting = self.waiting.lock();
        match report {
            SpawnerReport::Launched { worker, pid } => match waiting.launches.remove(&worker) {
                Some(launched) => drop(launched.send(Ok(pid))),
                None => return false,
            },
            SpawnerReport::LaunchFailed { worker, error } => {
                waiting.ends.remove(&worker);
                match waiting.launches.remove(&worker) {
                    Some(launched) => drop(launched.send(Err(error))),
                    None => return false,
                }
            }
            SpawnerReport::Ended { worker, status } => match waiting.ends.remove(&worker) {
                Some(ended) => drop(ended.send(status)),
                None => return false,
            },
            SpawnerReport::Cleaned { dir, error, bytes } => {
                let removed = error.is_none();
                // A directory that is out of the way has yet to be removed.
                if self.host.seats || !removed {
                    self.count_cleaning(&dir, error);
                }
                match waiting.cleanings.remove(dir.as_str()) {
                    Some(cleaned) => drop(cleaned.send(Cleaned { removed, bytes })),
                    None => return false,
                }
            }
            SpawnerReport::Removed { dir, error } => self.count_cleaning(&dir, error),
            SpawnerReport::Said { level, event, text } => log_said(level, &event, &text),
            SpawnerReport::Pong => match waiting.pong.take() {
                Some(pong) => drop(pong.send(())),
                None => return false,
            },
            SpawnerReport::Configured { .. } | SpawnerReport::ConfigureFailed { .. } => {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
pub(crate) mod tests;
