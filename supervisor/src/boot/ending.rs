//! What ends a service: signals, and the loss of its spawner.

use super::error::{BootError, system};
use crate::received_signals::ReceivedSignals;
use crate::spawner_link::SpawnerLinkError;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What can end the service.
pub struct Ending {
    /// Cancelled when the service shall accept nothing more and finish what runs.
    pub drain: CancellationToken,
    /// Cancelled when it shall not even finish that.
    pub quick: CancellationToken,
    /// Cancelled when the spawner is gone: the service can't go on.
    pub spawner_gone: CancellationToken,
    /// The signals that came: these, and those that a running service obeys.
    pub signals: Arc<ReceivedSignals>,
}

impl Ending {
    /// Listens to signals as gunicorn does: TERM drains, INT and QUIT end at once.
    ///
    /// # Errors
    /// The system refuses a signal handler. It has no reason to.
    pub fn listen() -> Result<Self, BootError> {
        let ending = Self {
            drain: CancellationToken::new(),
            quick: CancellationToken::new(),
            spawner_gone: CancellationToken::new(),
            signals: Arc::default(),
        };
        for (kind, quick) in [
            (SignalKind::terminate(), false),
            (SignalKind::interrupt(), true),
            (SignalKind::quit(), true),
        ] {
            let mut signals = signal(kind).map_err(system("sigaction"))?;
            let (drain, at_once) = (ending.drain.clone(), ending.quick.clone());
            let received = Arc::clone(&ending.signals);
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    received.note(kind.as_raw_value());
                    if quick {
                        at_once.cancel();
                    }
                    drain.cancel();
                }
            });
        }
        Ok(ending)
    }

    /// Waits for the result of `work`, unless the service is ended first.
    ///
    /// # Errors
    /// A signal came, or the spawner is gone; or the error of `work`.
    pub async fn unless<T>(
        &self,
        work: impl Future<Output = Result<T, BootError>>,
    ) -> Result<T, BootError> {
        tokio::select! {
            done = work => done,
            () = self.drain.cancelled() => Err(BootError::Interrupted),
            () = self.spawner_gone.cancelled() => Err(SpawnerLinkError::Gone.into()),
        }
    }
}
