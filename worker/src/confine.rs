//! How the worker confines itself, before it imports any library that an operator named.

use crate::layers::apparmor::AppArmor;
use crate::layers::landlock::{self, Landlock};
use crate::layers::seccomp::{self, Filters};
use crate::layers::{LayerError, process, rlimits};
use codejail_protocol::SABOTAGE;
use codejail_protocol::control::{LayerMode, LayerState, SANDBOXES_MAX, WorkerConfig};
use nix::unistd::getuid;
use std::path::PathBuf;

/// What is ready for the confinement of this worker's sandboxes.
#[derive(Debug)]
pub struct Confined {
    /// AppArmor, where it is in use.
    pub apparmor: Option<AppArmor>,
    /// Landlock, where the kernel has it and the operator wants it.
    pub landlock: Option<Landlock>,
    /// Compiled once for all sandboxes; none only in a build for tests.
    pub filters: Option<Filters>,
    /// Whether jobs get their limits; false only in a build for tests.
    pub rlimits: bool,
    /// The state of each layer, for the operator.
    pub layers: Vec<LayerState>,
}

/// Whether a layer that every host has is wanted. Only a build for tests can leave such a layer
/// out, whatever the supervisor says.
fn wanted(layer: &'static str, mode: LayerMode) -> Result<bool, LayerError> {
    match mode {
        LayerMode::Require | LayerMode::Auto => Ok(true),
        LayerMode::Off if SABOTAGE => Ok(false),
        LayerMode::Off => Err(LayerError::refused(layer, "leave it out")),
    }
}

/// The first and the last uid of this worker's sandboxes. They follow the worker's own uid, which
/// the spawner chose. The supervisor says how many there are; the number has a bound.
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

/// Confines this process. The order matters: no step may need what an earlier step denies.
pub fn worker(config: &WorkerConfig, own_paths: Vec<PathBuf>) -> Result<Confined, LayerError> {
    let readable = [own_paths, config.read_paths.clone()].concat();
    let apparmor = AppArmor::find(config.apparmor.as_ref())?;
    process::no_new_privileges()?;
    process::not_dumpable()?;
    let rlimits = wanted(rlimits::LAYER, config.layers.rlimits)?;
    if rlimits {
        rlimits::set_fixed()?;
    }
    let landlock = Landlock::find(config.layers.landlock, &readable)?;
    let truncates = landlock.as_ref().is_some_and(Landlock::guards_truncate);
    let seccomp = wanted(seccomp::LAYER, config.layers.seccomp)?;
    let filters = seccomp.then(Filters::compile).transpose()?;
    if let Some(landlock) = &landlock {
        landlock.confine_worker(&config.scratch_root, apparmor.is_some())?;
    }
    let sandbox_uids = sandbox_uids(config)?;
    if config.seats && sandbox_uids.is_none() && apparmor.is_none() {
        process::close_proc()?;
    }
    if seccomp {
        seccomp::confine_worker(sandbox_uids, config.user_namespaces, truncates)?;
    }
    let layers = vec![
        landlock_state(config, landlock.as_ref()),
        always_there(seccomp::LAYER, seccomp, "a list of allowed system calls"),
        always_there(rlimits::LAYER, rlimits, "those of CODE_JAIL and fixed ones"),
    ];
    Ok(Confined {
        apparmor,
        landlock,
        filters,
        rlimits,
        layers,
    })
}

fn landlock_state(config: &WorkerConfig, landlock: Option<&Landlock>) -> LayerState {
    if let Some(landlock) = landlock {
        return LayerState::on(landlock::LAYER, format!("ABI {}", landlock.abi()));
    }
    let cause = match config.layers.landlock {
        LayerMode::Off => "layers.landlock = \"off\"",
        _ => "this kernel does not have it; it needs Linux 5.13 with landlock among its lsm=",
    };
    let instead = match (config.seats, &config.apparmor) {
        (true, _) => "the worker's root (layers.mounts) hides the host's files",
        (false, Some(_)) => "AppArmor keeps files apart",
        (false, None) => "nothing hides the host's files, so nothing is executed",
    };
    LayerState::off(landlock::LAYER, format!("{cause}: {instead}"))
}

fn always_there(layer: &str, on: bool, detail: &str) -> LayerState {
    if on {
        LayerState::on(layer, detail)
    } else {
        LayerState::left_out(layer)
    }
}
