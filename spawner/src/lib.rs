//! The privileged process. It starts, kills and reaps workers and removes what they leave; it does
//! nothing else.
//!
//! The supervisor starts it before the service has a thread or a socket. It has no network and
//! parses nothing but the few requests of `codejail_protocol::spawn`. When the supervisor is gone
//! the spawner kills every worker and removes every directory; when the spawner is gone, the
//! service ends.
#![deny(unsafe_code)]

mod child;
mod clean;
mod error;
mod host;
mod launch;
mod paths;
mod policy;
mod reaping;
mod say;
mod service;
mod sys;
mod worker_root;
mod workers;

pub use error::{LaunchError, SpawnerError};

use clean::cleaner::Cleaner;
use clean::removal::Owners;
use codejail_protocol::spawn::{SpawnerConfig, SpawnerReport, SpawnerRequest};
use codejail_transport::{PacketError, PacketSocket};
use host::capabilities;
use launch::Launcher;
use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::SigSet;
use nix::unistd::geteuid;
use service::Service;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Serves the supervisor until it closes the socket, then removes everything that is left. The
/// socket is this process's standard input, which the first call takes.
///
/// # Errors
/// A broken conversation, or a system call that fails without a known reason; workers are killed
/// first.
pub fn run() -> Result<(), SpawnerError> {
    leave_signals_to_the_supervisor()?;
    raise_descriptors()?;
    set_child_subreaper(true).map_err(|errno| SpawnerError::System("prctl", errno))?;
    let socket = sys::process::take_standard_input();
    let socket = socket.ok_or(SpawnerError::System("take the socket", Errno::EBADF))?;
    let socket = Arc::new(PacketSocket::from(socket));
    say::over(&socket);
    let Some(config) = wait_for_configuration(&socket)? else {
        return Ok(());
    };
    let (launcher, cleaner) = match prepare(&config, &socket) {
        Ok(prepared) => prepared,
        Err(error) => {
            let report = SpawnerReport::ConfigureFailed {
                error: capabilities::told(&error, error.errno()),
            };
            socket.send(&report, &[])?;
            return Err(error.into());
        }
    };
    let mut service = Service::new(socket, &config, launcher, cleaner);
    let served = service.serve();
    service.end();
    match served {
        // The supervisor ended while the spawner wrote to it, or without reading everything. The
        // spawner treats both like a closed socket.
        Err(SpawnerError::Packet(PacketError::Socket(Errno::EPIPE | Errno::ECONNRESET))) => Ok(()),
        served => served,
    }
}

/// Ignores a terminal's Ctrl-C and the signals that a service manager sends to the whole service.
/// The supervisor decides when to stop: it drains first, and closes the socket when it ends.
fn leave_signals_to_the_supervisor() -> Result<(), SpawnerError> {
    use signal_hook::consts::{
        SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2,
    };
    for signal in [
        SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2,
    ] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))
            .map_err(|_| SpawnerError::System("sigaction", Errno::last()))?;
    }
    // A starting service blocks signals, and this process inherited that. Workers must not inherit
    // it.
    let none_held = SigSet::empty().thread_set_mask();
    none_held.map_err(|errno| SpawnerError::System("pthread_sigmask", errno))
}

/// Raises the soft limit of descriptors. This process has a descriptor for each worker and each
/// seat; with the default of 8 seats a hundred workers come near the usual soft limit of 1024.
/// Workers have a limit of their own.
fn raise_descriptors() -> Result<(), SpawnerError> {
    let resource = Resource::RLIMIT_NOFILE;
    getrlimit(resource)
        .and_then(|(_, hard)| setrlimit(resource, hard, hard))
        .map_err(|errno| SpawnerError::System("setrlimit", errno))
}

/// The first request; none if the supervisor ends before it sends one.
fn wait_for_configuration(socket: &PacketSocket) -> Result<Option<SpawnerConfig>, SpawnerError> {
    match socket.receive()? {
        None => Ok(None),
        Some(SpawnerRequest::Configure(config)) => Ok(Some(config)),
        Some(_) => Err(SpawnerError::Unexpected("Configure")),
    }
}

/// Finds out what this host gives, then starts the cleaner's threads. The order matters: the
/// launcher needs a process with one thread.
fn prepare(
    config: &SpawnerConfig,
    socket: &Arc<PacketSocket>,
) -> Result<(Launcher, Cleaner), LaunchError> {
    let launcher = Launcher::new(config)?;
    let root = config.scratch_root.clone();
    let owners = Owners(config.uid_base..config.uid_base.saturating_add(config.uid_count));
    let owners = if geteuid().is_root() {
        owners
    } else {
        Owners(0..0)
    };
    match Cleaner::start(root, &config.scratch_tag, owners, Arc::clone(socket)) {
        Ok(cleaner) => Ok((launcher, cleaner)),
        Err(error) => {
            launcher.end();
            let key = format!("sandbox.scratch_dir {}", config.scratch_root.display());
            Err(LaunchError::File(key, error))
        }
    }
}
