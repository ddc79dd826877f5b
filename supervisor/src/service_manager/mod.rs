//! What a service manager passes to the service, and what the service tells it. The manager is
//! systemd, or another program with the same protocol (sd_listen_fds(3), sd_notify(3),
//! sd_watchdog_enabled(3)).
//!
//! All of it comes in environment variables. No other process of the service gets them: the spawner
//! is started without [`VARIABLES`], and passes its own environment on to no process.

mod notifier;
mod passed;
mod told;

pub use notifier::Notifier;
pub use passed::{Passed, PassedError};
pub use told::{keep_told, tell_ready};

/// The variables of the protocol.
pub const VARIABLES: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
];
