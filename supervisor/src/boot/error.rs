//! Why a service could not start, and its exit status.

use super::privileges::PrivilegeError;
use crate::pool::WorkerError;
use crate::service_manager::PassedError;
use crate::spawner_link::SpawnerLinkError;
use std::io;

/// Why a service could not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// It can't run as whom it was started.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// The spawner could not be started or worked with.
    #[error(transparent)]
    Spawner(#[from] SpawnerLinkError),
    /// The first worker did not start: a service that cannot boot stops instead of looping.
    #[error("the first worker can't be started: {0}")]
    Worker(#[from] WorkerError),
    /// The address can't be listened on.
    #[error("bind = {0}: {1}")]
    Bind(std::net::SocketAddr, #[source] io::Error),
    /// What the service manager passes is nothing to listen on.
    #[error(transparent)]
    Passed(#[from] PassedError),
    /// The system refused something that has no reason to fail.
    #[error("{0}: {1}")]
    System(&'static str, #[source] io::Error),
    /// Metrics could not be set up.
    #[error("metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// A signal came before a single run or check was done.
    #[error("interrupted")]
    Interrupted,
}

impl BootError {
    /// By sysexits(3): EX_CONFIG for what a configuration or a host must change, EX_UNAVAILABLE
    /// when it cannot boot, EX_TEMPFAIL if it was told to stop, EX_SOFTWARE for the rest.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Privileges(_)
            | Self::Passed(_)
            | Self::Spawner(SpawnerLinkError::Configure(_)) => 78,
            Self::Worker(_) | Self::Bind(..) => 69,
            Self::Interrupted => 75,
            _ => 70,
        }
    }
}

/// Names the step of a system's error.
pub fn system(what: &'static str) -> impl FnOnce(io::Error) -> BootError {
    move |error| BootError::System(what, error)
}
