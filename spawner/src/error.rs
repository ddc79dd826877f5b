//! Why the spawner gave up, and why it could not prepare a worker or the host.

use codejail_protocol::control::{LayerMode, LayerState};
use codejail_transport::PacketError;
use nix::errno::Errno;
use std::fmt::Display;
use std::io;

/// Why the spawner gave up.
#[derive(Debug, thiserror::Error)]
pub enum SpawnerError {
    /// The conversation with the supervisor broke.
    #[error("spawner: {0}")]
    Packet(#[from] PacketError),
    /// The supervisor sent a request that is not legal in this state.
    #[error("spawner: expected {0}")]
    Unexpected(&'static str),
    /// A system call failed without a known reason.
    #[error("spawner: {0}: {1}")]
    System(&'static str, Errno),
    /// The spawner cannot work as configured.
    #[error("spawner: {0}")]
    Configure(#[from] LaunchError),
}

/// Why a worker could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// A file or directory that a launch needs can't be used.
    #[error("{0}: {1}")]
    File(String, #[source] io::Error),
    /// A path or variable holds a zero byte.
    #[error("{0:?} holds a zero byte")]
    ZeroByte(String),
    /// The clone failed, or a system call that prepares the launch.
    #[error("{0}: {1}")]
    System(&'static str, #[source] Errno),
    /// The new process failed before it became Python.
    #[error("in the new process: {0}: {1}")]
    Child(String, #[source] Errno),
    /// The layer is required and this host does not give it.
    #[error(
        "layers.{layer} is required, but this host does not give it ({cause}): {remedy}, or set \
         layers.{layer} = \"auto\""
    )]
    Layer {
        /// Its name.
        layer: &'static str,
        /// The host's error.
        cause: String,
        /// The remedy.
        remedy: &'static str,
    },
}

impl LaunchError {
    /// A required layer that is missing.
    pub fn layer(layer: &'static str, cause: impl Display, remedy: &'static str) -> Self {
        Self::Layer {
            layer,
            cause: cause.to_string(),
            remedy,
        }
    }

    /// The result when this host refuses a layer: an optional layer is off.
    ///
    /// # Errors
    /// The layer is required.
    pub fn unless_optional(
        layer: &'static str,
        mode: LayerMode,
        cause: impl Display,
        remedy: &'static str,
    ) -> Result<LayerState, Self> {
        match mode {
            LayerMode::Require => Err(Self::layer(layer, cause, remedy)),
            LayerMode::Auto | LayerMode::Off => Ok(LayerState::off(
                layer,
                format!("this host does not give it ({cause}); {remedy}"),
            )),
        }
    }

    /// Whether the launch failed because its directory was there already. Such a directory is
    /// somebody else's.
    pub fn is_existing_directory(&self) -> bool {
        matches!(self, Self::File(_, error) if error.kind() == io::ErrorKind::AlreadyExists)
    }

    /// The system's error number.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::System(_, errno) | Self::Child(_, errno) => Some(*errno),
            Self::File(_, error) => error.raw_os_error().map(Errno::from_raw),
            Self::ZeroByte(_) | Self::Layer { .. } => None,
        }
    }

    /// The kernel's error, if it means that this host does not offer the feature. None for other
    /// errors (no memory, no process): these errors may go away by themselves.
    pub fn refusal_of_host(&self) -> Option<Errno> {
        let (Self::System(_, errno) | Self::Child(_, errno)) = self else {
            return None;
        };
        let refuses = matches!(
            errno,
            Errno::EPERM
                | Errno::EACCES
                | Errno::ENOSYS
                | Errno::EINVAL
                | Errno::ENOSPC
                | Errno::EUSERS
                | Errno::ENODEV
        );
        refuses.then_some(*errno)
    }
}

/// Names the step of a system call's error.
pub fn system(what: &'static str) -> impl FnOnce(Errno) -> LaunchError {
    move |errno| LaunchError::System(what, errno)
}
