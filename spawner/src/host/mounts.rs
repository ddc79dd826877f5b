//! Whether a worker can have a root of its own here.

use super::container;
use super::namespaces::Namespaces;
use super::python_paths;
use crate::child::{become_worker, failure};
use crate::error::{LaunchError, system};
use crate::sys::clone::clone;
use crate::worker_root::RootPlan;
use codejail_protocol::control::{LayerMode, LayerState};
use codejail_protocol::spawn::SpawnerConfig;
use nix::fcntl::OFlag;
use nix::sys::wait::waitpid;
use nix::unistd::pipe2;

/// The layer of a worker's own root and its sandboxes' file systems.
const LAYER: &str = "mounts";
const REMEDY: &str =
    "it needs Linux 5.12, the right to mount, and a /proc of which the container hides no part";

/// Plans the root and tries it out; `namespaces` are those of a worker with a root.
///
/// # Errors
/// The layer is required and this host gives none, or Python does not say where its files are.
pub fn find(
    config: &SpawnerConfig,
    namespaces: Namespaces,
) -> Result<(Option<RootPlan>, LayerState), LaunchError> {
    // Asked even if no root is made: a Python that can't be used is refused with its name.
    let own = python_paths::ask(config)?;
    let mode = config.layers.mounts;
    if mode == LayerMode::Off {
        return Ok((None, LayerState::left_out(LAYER)));
    }
    let readable = [own, config.read_paths.clone()].concat();
    let plan = RootPlan::new(&readable, &config.scratch_root)?;
    match try_root(&plan, namespaces) {
        Ok(()) => {
            let got = "a root with Python and its libraries for each worker, a file system for \
                       each sandbox";
            Ok((Some(plan), LayerState::on(LAYER, got)))
        }
        Err(error) if error.refusal_of_host().is_some() => {
            let state =
                LaunchError::unless_optional(LAYER, mode, error, container::remedy(LAYER, REMEDY))?;
            Ok((None, state))
        }
        Err(error) => Err(error),
    }
}

/// Makes a root and has a child enter it and end.
fn try_root(plan: &RootPlan, namespaces: Namespaces) -> Result<(), LaunchError> {
    let mut root = plan.make(std::iter::empty(), None)?;
    let (hears, failed) = pipe2(OFlag::O_CLOEXEC).map_err(system("pipe"))?;
    let child = clone(namespaces.flags, || {
        become_worker::try_root(&mut root, &failed)
    });
    let child = child.map_err(system("clone"))?;
    drop((root, failed));
    let heard = failure::hear(&hears, Some(plan));
    waitpid(child.pid, None).map_err(system("waitpid"))?;
    heard
}
