//! The supervisor's side of its conversation with the spawner.

use crate::packet_io::AsyncPacketSocket;
use codejail_protocol::ScratchName;
use codejail_protocol::spawn::{
    FoundAppArmor, SpawnerConfig, SpawnerOrder, SpawnerReport, WorkerId,
};
use codejail_transport::{PacketError, PacketSocket};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Why the spawner can't be worked with.
#[derive(Debug, thiserror::Error)]
pub enum SpawnerLinkError {
    /// The socket failed or carried something else than a report.
    #[error("spawner: {0}")]
    Packet(#[from] PacketError),
    /// The socket could not be registered.
    #[error("spawner: {0}")]
    Io(#[from] io::Error),
    /// The host can't do what the configuration wants.
    #[error("spawner: {0}")]
    Configure(String),
    /// A worker could not be started.
    #[error("spawner: {0}")]
    Launch(String),
    /// It said something that is not legal in this state, or nothing any more.
    #[error("spawner: it is gone")]
    Gone,
}

/// Whoever waits for a report.
#[derive(Debug, Default)]
struct Waiting {
    launches: BTreeMap<WorkerId, oneshot::Sender<Result<i32, String>>>,
    ends: BTreeMap<WorkerId, oneshot::Sender<i32>>,
    cleanings: HashMap<String, oneshot::Sender<bool>>,
}

/// The spawner as the rest of the service sees it. When it is gone, `gone` is cancelled and every
/// waiter is told by its closed channel.
#[derive(Debug)]
pub struct SpawnerLink {
    socket: AsyncPacketSocket,
    waiting: Mutex<Waiting>,
    gone: CancellationToken,
    namespaces: bool,
    apparmor: FoundAppArmor,
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
        socket.send(&SpawnerOrder::Configure(config), &[]).await?;
        let (namespaces, apparmor) = match socket.receive().await? {
            Some(packet) => match packet.message {
                SpawnerReport::Configured {
                    namespaces,
                    apparmor,
                } => (namespaces, apparmor),
                SpawnerReport::ConfigureFailed { error } => {
                    return Err(SpawnerLinkError::Configure(error));
                }
                _ => return Err(SpawnerLinkError::Gone),
            },
            None => return Err(SpawnerLinkError::Gone),
        };
        let link = Arc::new(Self {
            socket,
            waiting: Mutex::default(),
            gone,
            namespaces,
            apparmor,
        });
        tokio::spawn(Arc::clone(&link).listen());
        Ok(link)
    }

    /// Whether workers get namespaces of their own.
    pub fn namespaces(&self) -> bool {
        self.namespaces
    }

    /// What there is of AppArmor.
    pub fn apparmor(&self) -> &FoundAppArmor {
        &self.apparmor
    }

    /// Starts a worker; returns its pid, and a channel that tells its exit status once it has ended.
    pub async fn launch(
        &self,
        worker: WorkerId,
        dir: ScratchName,
        uid: Option<u32>,
        descriptors: [OwnedFd; 2],
    ) -> Result<(i32, oneshot::Receiver<i32>), SpawnerLinkError> {
        let (launched, result) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock();
            waiting.launches.insert(worker, launched);
            waiting.ends.insert(worker, ended);
        }
        let order = SpawnerOrder::Launch { worker, dir, uid };
        let descriptors = descriptors.each_ref().map(AsFd::as_fd);
        self.socket.send(&order, &descriptors).await?;
        match result.await {
            Ok(Ok(pid)) => Ok((pid, end)),
            Ok(Err(error)) => Err(SpawnerLinkError::Launch(error)),
            Err(_) => Err(SpawnerLinkError::Gone),
        }
    }

    /// Kills a worker and so all its sandboxes.
    pub async fn kill(&self, worker: WorkerId) -> Result<(), SpawnerLinkError> {
        Ok(self
            .socket
            .send(&SpawnerOrder::Kill { worker }, &[])
            .await?)
    }

    /// Removes a scratch directory and waits for that; whether it is gone. If it can't be removed,
    /// that is logged.
    pub async fn clean(&self, dir: ScratchName) -> Result<bool, SpawnerLinkError> {
        let (cleaned, done) = oneshot::channel();
        let name = dir.as_str().to_owned();
        self.waiting.lock().cleanings.insert(name, cleaned);
        self.socket.send(&SpawnerOrder::Clean { dir }, &[]).await?;
        done.await.map_err(|_| SpawnerLinkError::Gone)
    }

    /// Passes reports on until there are no more. Without a spawner the service ends.
    async fn listen(self: Arc<Self>) {
        loop {
            match self.socket.receive().await {
                Ok(Some(packet)) => {
                    if !self.pass_on(packet.message) {
                        tracing::error!("the spawner broke the protocol");
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "the spawner can't be heard");
                    break;
                }
            }
        }
        *self.waiting.lock() = Waiting::default();
        self.gone.cancel();
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
            SpawnerReport::Cleaned { dir, error } => {
                let removed = error.is_none();
                if let Some(error) = error {
                    tracing::error!(%dir, %error, "a scratch directory can't be removed");
                }
                match waiting.cleanings.remove(dir.as_str()) {
                    Some(cleaned) => drop(cleaned.send(removed)),
                    None => return false,
                }
            }
            SpawnerReport::Configured { .. } | SpawnerReport::ConfigureFailed { .. } => {
                return false;
            }
        }
        true
    }
}
