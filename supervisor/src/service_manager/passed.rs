//! Sockets that the service manager listens on for the service, and hands to it at its start.
//!
//! A passed socket is taken as it is: nobody calls listen(2) on it again, which would change its
//! queue, and which SELinux denies.

use listenfd::ListenFd;
use std::io;
use std::net::TcpListener;

/// The name (`FileDescriptorName=`) of the socket for metrics. Any other name is the API's: systemd
/// calls a socket without a name of its own by its unit.
const METRICS: &str = "metrics";

/// Why passed sockets can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PassedError {
    /// The variables say nothing that makes sense.
    #[error("LISTEN_FDS: {0}")]
    Variables(io::Error),
    /// Something else than a TCP socket that listens.
    #[error("the socket {name:?} that the service manager passes: {error}")]
    NotTcp {
        /// As the manager calls it.
        name: String,
        /// What it is not.
        error: io::Error,
    },
    /// Two for one purpose.
    #[error(
        "the service manager passes {first:?} and {second:?}: one socket is for the API, and one with \
         FileDescriptorName=metrics for metrics"
    )]
    Several {
        /// The one that is taken.
        first: String,
        /// The one too many.
        second: String,
    },
    /// One that nothing takes.
    #[error("the service manager passes a socket for metrics, but metrics.bind is not set")]
    NoUse,
}

/// One passed socket.
#[derive(Debug)]
struct Socket {
    name: String,
    listener: TcpListener,
}

/// The sockets that were passed to this process.
#[derive(Debug, Default)]
pub struct Passed {
    api: Option<Socket>,
    metrics: Option<Socket>,
}

impl Passed {
    /// Takes them. It must be called while the process has one thread and no child: the variables
    /// are taken from the environment, and the sockets are closed in whatever is started from then
    /// on.
    ///
    /// # Errors
    /// Something was passed that the service can't listen on.
    pub fn take() -> Result<Self, PassedError> {
        // This closes them in children, and obeys only what is meant for this very process.
        let names = sd_notify::listen_fds_with_names().map_err(PassedError::Variables)?;
        let names: Vec<String> = names.map(|(_, name)| name).collect();
        let mut passed = Self::default();
        // It would also take what is meant for no process in particular.
        if names.is_empty() {
            return Ok(passed);
        }
        let mut sockets = ListenFd::from_env();
        for (place, name) in names.into_iter().enumerate() {
            let listener = match sockets.take_tcp_listener(place) {
                Ok(Some(listener)) => listener,
                Ok(None) => continue,
                Err(error) => return Err(PassedError::NotTcp { name, error }),
            };
            passed.add(Socket { name, listener })?;
        }
        Ok(passed)
    }

    fn add(&mut self, socket: Socket) -> Result<(), PassedError> {
        let place = match socket.name.as_str() {
            METRICS => &mut self.metrics,
            _ => &mut self.api,
        };
        if let Some(first) = place {
            return Err(PassedError::Several {
                first: first.name.clone(),
                second: socket.name,
            });
        }
        *place = Some(socket);
        Ok(())
    }

    /// The API's, if one was passed.
    pub fn take_api(&mut self) -> Option<TcpListener> {
        self.api.take().map(|socket| socket.listener)
    }

    /// The one for metrics, if one was passed.
    pub fn take_metrics(&mut self) -> Option<TcpListener> {
        self.metrics.take().map(|socket| socket.listener)
    }

    /// Makes sure that all have been taken.
    ///
    /// # Errors
    /// One has not: clients would connect to it, and nobody would answer.
    pub fn none_left(&self) -> Result<(), PassedError> {
        match self.metrics {
            Some(_) => Err(PassedError::NoUse),
            None => Ok(()),
        }
    }
}
