//! The worker's own confinement, before it imports anything that an operator named.

use crate::layers::apparmor::AppArmor;
use crate::layers::landlock::Landlock;
use crate::layers::seccomp::{self, Filters};
use crate::layers::{LayerError, process, rlimits};
use codejail_protocol::control::{SANDBOXES_MAX, WorkerConfig};
use nix::unistd::getuid;
use std::path::PathBuf;

/// What sandboxes of this worker will be confined with.
#[derive(Debug)]
pub struct Confined {
    /// AppArmor, where it is in use.
    pub apparmor: Option<AppArmor>,
    /// Landlock, where the kernel has it and the operator wants it.
    pub landlock: Option<Landlock>,
    /// Compiled once for all of them.
    pub filters: Filters,
}

impl Confined {
    /// The ABI in use, 0 for none.
    pub fn landlock_abi(&self) -> u32 {
        self.landlock.as_ref().map_or(0, Landlock::abi)
    }
}

/// The uids that follow this worker's own, which the spawner chose: the supervisor cannot widen them
/// to anybody else's.
fn sandbox_uids(config: &WorkerConfig) -> Result<Option<(u32, u32)>, LayerError> {
    if config.sandboxes_max > SANDBOXES_MAX {
        return Err(LayerError::refused(
            "uid",
            "more sandboxes than a worker can have",
        ));
    }
    let own = getuid().as_raw();
    let range = (own + 1, own + config.sandboxes_max);
    Ok(config.own_uids.then_some(range))
}

/// Confines this process, in this order: nothing later may need what something earlier denies.
pub fn worker(config: &WorkerConfig, own_paths: Vec<PathBuf>) -> Result<Confined, LayerError> {
    let readable = [own_paths, config.read_paths.clone()].concat();
    let apparmor = AppArmor::find(config.apparmor.as_ref())?;
    process::no_new_privileges()?;
    process::not_dumpable()?;
    rlimits::set_fixed()?;
    let landlock = Landlock::find(config.landlock, &readable)?;
    let truncates = landlock.as_ref().is_some_and(Landlock::guards_truncate);
    let filters = Filters::compile()?;
    if let Some(landlock) = &landlock {
        landlock.confine_worker(&config.scratch_root, apparmor.is_some())?;
    }
    seccomp::confine_worker(sandbox_uids(config)?, truncates)?;
    Ok(Confined {
        apparmor,
        landlock,
        filters,
    })
}
