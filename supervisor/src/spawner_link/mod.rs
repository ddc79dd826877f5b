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

/// How long the spawner may take to take an order, and to answer it. It answers in milliseconds. If
/// it is stopped or stuck for so long, it counts as dead, and a service without a spawner ends.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The tasks that wait for reports.
#[derive(Debug, Default)]
struct Waiting {
    launches: BTreeMap<WorkerId, oneshot::Sender<Result<i32, String>>>,
    ends: BTreeMap<WorkerId, oneshot::Sender<i32>>,
    cleanings: HashMap<String, oneshot::Sender<Cleaned>>,
    /// At most one `Ping` is on its way.
    pong: Option<oneshot::Sender<()>>,
}

/// The result of cleaning one directory or seat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Whether the directory is out of the way, or the seat is empty.
    pub removed: bool,
    /// Bytes that the files of a seat took; none for a directory.
    pub bytes: Option<u64>,
}

/// How many directories and seats the spawner has cleaned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleanings {
    /// Those that are finished: they are gone for good, or can't be removed.
    pub done: u64,
    /// Those of them that can't be removed.
    pub failed: u64,
}

/// The spawner, as the rest of the service uses it. When the spawner is gone, `gone` is cancelled,
/// and the channel of every waiting task is closed.
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

    /// The states of the spawner's layers.
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

    /// Warnings of the spawner for the operator.
    pub fn warnings(&self) -> &[String] {
        &self.host.warnings
    }

    /// How many directories and seats have been cleaned so far.
    pub fn cleanings(&self) -> watch::Receiver<Cleanings> {
        self.cleanings.subscribe()
    }

    /// What the spawner found of AppArmor.
    pub fn apparmor(&self) -> &FoundAppArmor {
        &self.host.apparmor
    }

    /// Waits for a reply, but not for ever.
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

    /// Starts a worker. Returns its pid, and a channel that receives its exit status when it has
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

    /// Sets the bounds of workers that are launched from now on.
    ///
    /// # Errors
    /// The spawner is gone or silent.
    pub async fn bound(&self, bounds: WorkerBounds) -> Result<(), SpawnerLinkError> {
        let order = SpawnerRequest::Bound(bounds);
        self.unless_silent(async { Ok(self.socket.send(&order, &[]).await?) })
            .await
    }

    /// Kills a worker, and so all its sandboxes. The channel of its launch reports its end.
    ///
    /// # Errors
    /// The spawner is gone or silent.
    pub async fn kill(&self, worker: WorkerId) -> Result<(), SpawnerLinkError> {
        let order = SpawnerRequest::Kill { worker };
        self.unless_silent(async { Ok(self.socket.send(&order, &[]).await?) })
            .await
    }

    /// Removes a scratch directory, and waits for the result. If it can't be removed, that is
    /// logged.
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

    /// Passes reports on, until there are no more. Without a spawner the service ends.
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

    /// Counts a directory or seat as gone. If it stays, that is logged.
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

    /// Passes a report on, and returns whether it was legal. If the waiting task was cancelled,
    /// that is not a fault.
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
                // A directory that is only out of the way must still be removed.
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
