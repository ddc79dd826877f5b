//! From a configuration to a service that could execute: spawner, privileges, runtime, pool, safety
//! checks. `serve`, `check` and `run` all start here, so none of them is less confined than
//! another.

mod accounts;
mod ending;
mod error;
mod first_process;
mod host;
pub mod kernel_memory;
mod memory;
pub mod privileges;
mod user_namespace;

pub use ending::Ending;
pub use error::{BootError, system};
pub use host::{Host, worker_bounds};

use crate::config::Config;
use crate::config::current::Current;
use crate::old_runs::OldRuns;
use crate::service_manager;
use crate::spawner_link::SpawnerLinkError;
use codejail_transport::PacketSocket;
use nix::unistd::Pid;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// How long the end of the runtime waits for threads that are busy. All tasks have ended before.
/// What may still run is a look-up of a name, which is no longer needed, or work on a large body.
const RUNTIME_END_MAX: Duration = Duration::from_millis(200);
/// The least time that the spawner gets at the end to kill and remove everything, even if
/// `graceful_timeout_ms` is smaller. It takes some 50 ms.
const SPAWNER_END_MIN: Duration = Duration::from_secs(1);

/// Runs `job` on a host that is made ready for it. When this returns, no process and no directory
/// is left. If the spawner itself was killed, directories may be left.
///
/// # Errors
/// The host could not be made ready, or lost its spawner; or the error of the job.
pub fn run<T>(
    config: Config,
    job: impl AsyncFnOnce(Host) -> Result<T, BootError>,
) -> Result<T, BootError> {
    let own_uids = privileges::own_uids(config.layers.uid)?;
    // This comes first, while this process is root and has one thread.
    let (socket, spawner) = start_spawner()?;
    let became = privileges::become_app_user(&config);
    let current = Arc::new(Current::new(Arc::new(config)));
    let result = became
        .map_err(BootError::from)
        .and_then(|()| in_runtime(&current, socket, &spawner, own_uids, job));
    // The runtime is gone, and its socket with it. So the spawner removes everything and ends.
    let ended = wait_for_spawner(spawner, end_max(&current));
    match (result, ended) {
        (Ok(value), Ok(())) => Ok(value),
        // An interruption was asked for: a bad end of the spawner is the error to report.
        (Ok(_) | Err(BootError::Interrupted), Err(error)) => Err(error),
        (Err(error), _) => Err(error),
    }
}

/// How long the end may take, by the current configuration, which a reload may have changed.
fn end_max(current: &Current) -> Duration {
    Duration::from_millis(current.get().graceful_timeout_ms).max(SPAWNER_END_MIN)
}

/// Waits for the spawner's end. An error says that the end was bad. A spawner that is stopped or
/// stuck can't be waited for. It must not be killed either, even where that is possible: only the
/// spawner can remove what is left. It does so when it goes on, since its socket is closed.
fn wait_for_spawner(mut spawner: Child, longest: Duration) -> Result<(), BootError> {
    let (tell, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(spawner.wait()));
    let status = match ended.recv_timeout(longest) {
        Ok(status) => status.map_err(system("wait for the spawner"))?,
        Err(_) => {
            let error = SpawnerLinkError::Stuck(longest);
            tracing::error!(event = "spawner_stuck", "{error}");
            return Err(error.into());
        }
    };
    if status.success() {
        return Ok(());
    }
    let error = io::Error::other(format!("it ended with {status}"));
    Err(BootError::System("the spawner", error))
}

/// Starts the spawner: this executable again, with its end of the socket as standard input.
fn start_spawner() -> Result<(PacketSocket, Child), BootError> {
    let (ours, theirs) = PacketSocket::pair()
        .map_err(io::Error::from)
        .map_err(system("socketpair"))?;
    let executable = std::env::current_exe().map_err(system("find this executable"))?;
    let mut command = Command::new(executable);
    command.arg("spawner");
    command.stdin(Stdio::from(OwnedFd::from(theirs)));
    // These variables are for this process alone.
    for variable in service_manager::VARIABLES {
        command.env_remove(variable);
    }
    let child = command.spawn().map_err(system("start the spawner"))?;
    Ok((ours, child))
}

fn in_runtime<T>(
    current: &Arc<Current>,
    socket: PacketSocket,
    spawner: &Child,
    own_uids: bool,
    job: impl AsyncFnOnce(Host) -> Result<T, BootError>,
) -> Result<T, BootError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(system("start the runtime"))?;
    let old_runs = OldRuns::start().map_err(system("start the threads for old runs"))?;
    let handle = old_runs.handle();
    let spawner = Pid::from_raw(spawner.id().cast_signed());
    let result = runtime.block_on(async {
        first_process::reap_strangers(spawner).map_err(system("listen for SIGCHLD"))?;
        let host = Host::prepare(Arc::clone(current), socket, own_uids, handle).await?;
        job(host).await
    });
    // This drops every task, and with the last of them the spawner's socket.
    runtime.shutdown_timeout(RUNTIME_END_MAX);
    old_runs.end(RUNTIME_END_MAX);
    result
}
