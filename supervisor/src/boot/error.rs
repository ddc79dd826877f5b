//! Why a service could not start, and its exit status.

use super::privileges::PrivilegeError;
use crate::pool::WorkerError;
use crate::service_manager::PassedError;
use crate::spawner_link::SpawnerLinkError;
use std::io;

/// Why a service could not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The service can't run as the user that started it.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// The spawner could not be started, or does not work.
    #[error(transparent)]
    Spawner(#[from] SpawnerLinkError),
    /// The first worker did not start: a service that cannot boot stops instead of looping.
    #[error("the first worker can't be started: {0}")]
    Worker(#[from] WorkerError),
    /// The address can't be listened on.
    #[error("bind = {0}: {1}")]
    Bind(std::net::SocketAddr, #[source] io::Error),
    /// The service manager passed something that can't be listened on.
    #[error(transparent)]
    Passed(#[from] PassedError),
    /// The system refused something that it has no reason to refuse.
    #[error("{0}: {1}")]
    System(&'static str, #[source] io::Error),
    /// Metrics could not be set up.
    #[error("metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// A signal came before the run or the check was done.
    #[error("interrupted")]
    Interrupted,
}

impl BootError {
    /// The exit status by sysexits(3). EX_CONFIG: the configuration or the host must be changed.
    /// EX_UNAVAILABLE: it can't boot. EX_TEMPFAIL: it was told to stop. EX_SOFTWARE: all others.
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

/// For `map_err`: the error names the step.
pub fn system(what: &'static str) -> impl FnOnce(io::Error) -> BootError {
    move |error| BootError::System(what, error)
}
