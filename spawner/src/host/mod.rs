//! What this host gives, found out once: namespaces, mounts, cgroups, AppArmor, Python.

pub mod apparmor;
pub mod capabilities;
pub mod cgroup;
pub mod claim;
mod container;
mod mounts;
mod namespaces;
mod python_paths;
pub mod reach;

use crate::child::user_maps::UserMaps;
use crate::error::LaunchError;
use crate::worker_root::RootPlan;
use apparmor::AppArmor;
use cgroup::Cgroups;
use codejail_protocol::control::{LayerMode, LayerState};
use codejail_protocol::spawn::SpawnerConfig;
use namespaces::Namespaces;

/// The layers of the spawner, as far as this host gives them.
#[derive(Debug)]
pub struct HostLayers {
    /// The namespaces of each worker.
    pub namespaces: Namespaces,
    /// For a user namespace of each worker, where this process is not root and the host allows it.
    pub users: Option<UserMaps>,
    /// The root of each worker, where it gets one.
    pub root: Option<RootPlan>,
    /// The service's part of the cgroup tree, where it gets one.
    pub cgroups: Option<Cgroups>,
    /// The profiles of workers and sandboxes.
    pub apparmor: AppArmor,
    /// What became of each layer.
    pub states: Vec<LayerState>,
}

impl HostLayers {
    /// Tries each layer that is wanted. Must run while this process has one thread.
    ///
    /// # Errors
    /// A required layer is missing, or an attempt fails for another reason than the host's refusal.
    pub fn find(config: &SpawnerConfig) -> Result<Self, LaunchError> {
        let wanted = &config.layers;
        let users = match [wanted.namespaces, wanted.mounts] {
            [LayerMode::Off, LayerMode::Off] => None,
            _ => namespaces::become_own_administrator()?,
        };
        let (namespaces, namespaces_state) = namespaces::find(wanted.namespaces)?;
        let apparmor = AppArmor::find(wanted.apparmor).map_err(|flaws| {
            let remedy = container::remedy(apparmor::LAYER, "docs/apparmor.md says how");
            LaunchError::layer(apparmor::LAYER, flaws, remedy)
        })?;
        let with_root = namespaces.with_root();
        let (root, mounts_state) = mounts::find(config, with_root)?;
        // The last layer, since it leaves something on the host that has to be removed.
        let (cgroups, cgroup_state) = Cgroups::find(wanted.cgroup, &config.scratch_tag)?;
        let apparmor_state = apparmor.state(wanted.apparmor);
        Ok(Self {
            namespaces: if root.is_some() {
                with_root
            } else {
                namespaces
            },
            users,
            root,
            cgroups,
            apparmor,
            states: vec![namespaces_state, mounts_state, cgroup_state, apparmor_state],
        })
    }
}
