//! Which namespaces a worker gets, and how the spawner comes to be allowed to give them.

use super::container;
use crate::child::proc_files::close_ipc;
use crate::child::user_maps::UserMaps;
use crate::error::{LaunchError, system};
use crate::sys::clone::clone;
use crate::sys::process::exit;
use codejail_protocol::control::{LayerMode, LayerState};
use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::geteuid;

const LAYER: &str = "namespaces";

/// Namespaces of a worker where the layer is on (namespaces(7)).
const ALL: i32 = libc::CLONE_NEWPID
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS;

/// The remedy if the host gives none.
const REMEDY: &str = "start the service as root with CAP_SYS_ADMIN, or allow user namespaces \
     (sysctl user.max_user_namespaces, and on Ubuntu \
     kernel.apparmor_restrict_unprivileged_userns=0)";

/// Enters a user namespace of its own if this process is not root. There it may make the other
/// namespaces; outside of it the process gets no new right (user_namespaces(7)). Must run while
/// this process has one thread. Where the host allows no user namespace, nothing changes.
///
/// Some hosts let a process enter and then refuse to map its user (Ubuntu from 23.10 on), and there
/// is no way back. So a child that ends at once tries it first.
///
/// Returns the maps if each worker can have a user namespace of its own below this one. The kernel
/// counts processes and pending signals by user and by user namespace (Linux 5.14). So the runs of
/// one worker take none from the runs of another.
///
/// # Errors
/// The process is in its namespace and can't map its user there, though its child could.
pub fn become_own_administrator() -> Result<Option<UserMaps>, LaunchError> {
    if geteuid().is_root() {
        return Ok(None);
    }
    let maps = UserMaps::of_this_process();
    if try_in_a_child(&maps)?.is_err() {
        return Ok(None);
    }
    let entered = maps.enter(CloneFlags::CLONE_NEWNS);
    entered.map_err(system("enter a user namespace"))?;
    Ok(try_in_a_child(&maps)?.is_ok().then_some(maps))
}

/// Has a child enter a user namespace with these maps and end. Returns the child's result.
fn try_in_a_child(maps: &UserMaps) -> Result<Result<(), Errno>, LaunchError> {
    let enter = || maps.enter(CloneFlags::CLONE_NEWNS);
    let run = || exit(enter().map_or_else(|errno| errno as i32, |()| 0));
    let child = clone(0, run).map_err(system("clone"))?;
    match waitpid(child.pid, None) {
        Ok(WaitStatus::Exited(_, 0)) => Ok(Ok(())),
        Ok(WaitStatus::Exited(_, errno)) => Ok(Err(Errno::from_raw(errno))),
        Ok(_) => Err(LaunchError::System("try a user namespace", Errno::ECHILD)),
        Err(errno) => Err(LaunchError::System("waitpid", errno)),
    }
}

/// The namespaces of a worker.
#[derive(Debug, Clone, Copy, Default)]
pub struct Namespaces {
    /// CLONE_NEW… flags.
    pub flags: i32,
    /// Whether its IPC namespace can be closed for System V objects.
    pub closes_ipc: bool,
}

impl Namespaces {
    /// The same for a worker with a root of its own: the `/proc` there is its PID namespace's.
    pub fn with_root(self) -> Self {
        let flags = self.flags | libc::CLONE_NEWNS | libc::CLONE_NEWPID;
        Self { flags, ..self }
    }
}

/// Tries out with a child that ends at once which namespaces a clone gets here.
///
/// # Errors
/// The layer is required and this host gives none.
pub fn find(mode: LayerMode) -> Result<(Namespaces, LayerState), LaunchError> {
    let none = Namespaces::default();
    if mode == LayerMode::Off {
        return Ok((none, LayerState::left_out(LAYER)));
    }
    match try_clone() {
        Ok(closes_ipc) => {
            let ipc = if closes_ipc {
                "no System V IPC"
            } else {
                "System V IPC stays open: /proc/sys can't be written"
            };
            let got = "PID, mount, network, IPC and UTS namespaces for each worker";
            let state = LayerState::on(LAYER, format!("{got}; {ipc}"));
            let flags = ALL;
            Ok((Namespaces { flags, closes_ipc }, state))
        }
        Err(error) => match error.refusal_of_host() {
            Some(errno) => {
                let state = LaunchError::unless_optional(
                    LAYER,
                    mode,
                    errno,
                    container::remedy(LAYER, REMEDY),
                )?;
                Ok((none, state))
            }
            None => Err(error),
        },
    }
}

/// Clones a child into the namespaces. Returns whether the child could close its IPC namespace.
fn try_clone() -> Result<bool, LaunchError> {
    let child = clone(ALL, || exit(i32::from(close_ipc().is_err()))).map_err(system("clone"))?;
    match waitpid(child.pid, None) {
        Ok(WaitStatus::Exited(_, status)) => Ok(status == 0),
        Ok(_) => Err(LaunchError::System("try a clone", Errno::ECHILD)),
        Err(errno) => Err(LaunchError::System("waitpid", errno)),
    }
}
