//! Sockets on which the service manager listens for the service. It passes them at the start.
//!
//! A passed socket is taken as it is. listen(2) is not called on it again: that would change its
//! queue, and SELinux denies it.

use listenfd::ListenFd;
use std::io;
use std::net::TcpListener;

/// The name (`FileDescriptorName=`) of the socket for metrics. A socket with any other name is the
/// API's: if a socket has no name of its own, systemd names it after its unit.
const METRICS: &str = "metrics";

/// Why passed sockets can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PassedError {
    /// The values of the variables make no sense.
    #[error("LISTEN_FDS: {0}")]
    Variables(io::Error),
    /// A passed descriptor is not a listening TCP socket.
    #[error("the socket {name:?} that the service manager passes: {error}")]
    NotTcp {
        /// The name that the manager gave it.
        name: String,
        /// What is wrong with it.
        error: io::Error,
    },
    /// There are two sockets for the same purpose.
    #[error(
        "the service manager passes {first:?} and {second:?}: one socket is for the API, and one with \
         FileDescriptorName=metrics for metrics"
    )]
    Several {
        /// The socket that is used.
        first: String,
        /// The other socket.
        second: String,
    },
    /// No part of the service uses this socket.
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
    /// Takes them. It must be called while the process has one thread and no child: it takes the
    /// variables out of the environment, and makes sure that processes that are started later do
    /// not get the sockets.
    ///
    /// # Errors
    /// The service can't listen on a passed descriptor.
    pub fn take() -> Result<Self, PassedError> {
        // This closes the sockets in children. It uses the variables only if LISTEN_PID names this
        // process.
        let names = sd_notify::listen_fds_with_names().map_err(PassedError::Variables)?;
        let names: Vec<String> = names.map(|(_, name)| name).collect();
        let mut passed = Self::default();
        // `ListenFd` would also take sockets if LISTEN_PID is not set.
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

    /// The API's socket, if one was passed.
    pub fn take_api(&mut self) -> Option<TcpListener> {
        self.api.take().map(|socket| socket.listener)
    }

    /// The socket for metrics, if one was passed.
    pub fn take_metrics(&mut self) -> Option<TcpListener> {
        self.metrics.take().map(|socket| socket.listener)
    }

    /// Makes sure that all sockets were taken.
    ///
    /// # Errors
    /// A passed socket was not taken. The service must not start: clients would connect to this
    /// socket, and nothing would answer.
    pub fn none_left(&self) -> Result<(), PassedError> {
        match self.metrics {
            Some(_) => Err(PassedError::NoUse),
            None => Ok(()),
        }
    }
}
