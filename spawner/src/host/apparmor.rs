//! The AppArmor layer, as the spawner sees it: which profiles the kernel enforces, and how a worker
//! enters its profile.
//!
//! The spawner looks before it starts any worker. Each worker and each sandbox makes sure by itself
//! that it really is under its profile (the worker's `layers/apparmor.rs`).

use super::container;
use codejail_protocol::apparmor::{CURRENT, ENFORCING, Label};
use codejail_protocol::control::{AppArmorProfiles, LayerMode, LayerState};
use codejail_protocol::spawn::FoundAppArmor;
use std::ffi::CString;
use std::fs;
use std::io;

/// The name of the layer, and of its key in the configuration.
pub const LAYER: &str = "apparmor";

/// Says `Y` where AppArmor is built in and not switched off (admin-guide/LSM/apparmor).
const ENABLED: &str = "/sys/module/apparmor/parameters/enabled";
/// All loaded profiles, one `NAME (MODE)` a line. Root alone may read it, and only where securityfs
/// is mounted.
const LOADED: &str = "/sys/kernel/security/apparmor/profiles";

/// The mode of a profile that the list does not name.
const MISSING: &str = "missing";
/// The mode of a profile where there is no list.
const UNKNOWN: &str = "unknown";

/// The label of a process that AppArmor does not confine.
const UNCONFINED: &str = "unconfined";

// What the operator can do about each flaw.
const NO_KERNEL: &str = "this kernel does not enforce AppArmor: boot a kernel that has it, with \
                         apparmor=1 and apparmor among lsm= (or security=apparmor)";
const LOAD: &str = "load them, enforced, with deploy/apparmor.sh load";
const SHOW: &str = "start as root where securityfs is mounted, or set layers.apparmor = \"require\", \
                    with which each worker and sandbox checks its own profile";
const NOT_ENTERED: &str = "start it after the profiles are loaded, from the path that \
                           tunables/codejail names, and not under no_new_privs";

/// The profiles that belong together.
struct ProfileSet {
    /// The profiles of supervisor and spawner.
    service: &'static [&'static str],
    worker: &'static str,
    sandbox: &'static str,
}

/// For a service on a host: a profile for each process, entered by exec.
const HOST: ProfileSet = ProfileSet {
    service: &["codejail-supervisor", "codejail-spawner"],
    worker: "codejail-worker",
    sandbox: "codejail-sandbox",
};

/// For a service in a container, whose runtime puts all of it under one profile from outside. Hosts
/// that were prepared for the original have a profile of this name.
const CONTAINER: ProfileSet = ProfileSet {
    service: &["openedx_codejail_service"],
    worker: "openedx_codejail_service//codejail_worker",
    sandbox: "openedx_codejail_service//codejail_sandbox",
};

/// The layer as this host gives it.
#[derive(Debug, Default)]
pub struct AppArmor {
    /// For the service's log and for `check`.
    pub found: FoundAppArmor,
    /// What a worker writes to its own `attr/exec` before it becomes Python; none where the layer
    /// is not in use.
    pub on_exec: Option<CString>,
}

/// What the host says of itself.
struct AppArmorHost {
    enabled: bool,
    /// This process's label; none where it can't be read.
    label: Option<String>,
    no_new_privileges: bool,
    /// The list of loaded profiles; none where it can't be read.
    loaded: Option<String>,
}

impl AppArmor {
    /// Finds out which profiles this host enforces.
    ///
    /// # Errors
    /// The layer is required and not enforced. The text says what is wrong, and the remedy.
    pub fn find(mode: LayerMode) -> Result<Self, String> {
        match mode {
            LayerMode::Off => Ok(Self::default()),
            LayerMode::Auto | LayerMode::Require => Self::on(&AppArmorHost::look(), mode),
        }
    }

    /// The layer's state for the log, for `check` and for `/health/`.
    #[must_use]
    pub fn state(&self, mode: LayerMode) -> LayerState {
        let flaws = self.found.flaws.join("; ");
        match &self.found.profiles {
            _ if mode == LayerMode::Off => LayerState::left_out(LAYER),
            // On a kernel without AppArmor the container's remedy, to load profiles, is no help.
            None if self.found.loaded.is_empty() || !container::is_one() => {
                LayerState::off(LAYER, flaws)
            }
            None => LayerState::off(LAYER, format!("{flaws}; {}", container::remedy(LAYER, ""))),
            Some(profiles) if flaws.is_empty() => LayerState::on(
                LAYER,
                format!(
                    "{} for each sandbox, stacked over {} of its worker",
                    profiles.sandbox, profiles.worker
                ),
            ),
            Some(_) => LayerState::on(LAYER, format!("in part: {flaws}")),
        }
    }

    fn on(host: &AppArmorHost, mode: LayerMode) -> Result<Self, String> {
        let label = host.label.as_deref().unwrap_or(UNCONFINED);
        let set = ProfileSet::of(label);
        let loaded = match host.enabled {
            true => set.modes(host.loaded.as_deref()),
            false => Vec::new(),
        };
        let required = mode == LayerMode::Require;
        let flaws = host.flaws(&set, &loaded, required);
        if required && !flaws.is_empty() {
            return Err(flaws.join("; "));
        }
        let is_there = |name: &str| {
            let mode = loaded.iter().find(|(loaded, _)| loaded == name);
            mode.is_some_and(|(_, mode)| mode != MISSING && (required || mode != UNKNOWN))
        };
        let usable = is_there(set.worker) && is_there(set.sandbox);
        let profiles = usable.then(|| AppArmorProfiles {
            worker: set.worker.to_owned(),
            sandbox: set.sandbox.to_owned(),
            enforced: required,
        });
        let on_exec = usable.then(|| host.on_exec(label, &set)).transpose()?;
        let found = FoundAppArmor {
            profiles,
            loaded,
            flaws,
        };
        Ok(Self { found, on_exec })
    }
}

impl ProfileSet {
    /// Which set belongs to a service under this label.
    fn of(label: &str) -> Self {
        match Label::parse(label).is_under(CONTAINER.own()) {
            true => CONTAINER,
            false => HOST,
        }
    }

    /// The spawner's profile.
    fn own(&self) -> &'static str {
        self.service[self.service.len() - 1]
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        let own = [self.worker, self.sandbox];
        self.service.iter().copied().chain(own)
    }

    /// The mode of each profile, by the kernel's list.
    fn modes(&self, list: Option<&str>) -> Vec<(String, String)> {
        let mode_of = |name: &str| match list {
            None => UNKNOWN.to_owned(),
            Some(list) => list
                .lines()
                .map(Label::parse)
                .find(|loaded| loaded.names == name)
                .map_or(MISSING, |loaded| loaded.mode)
                .to_owned(),
        };
        self.names()
            .map(|name| (name.to_owned(), mode_of(name)))
            .collect()
    }
}

impl AppArmorHost {
    fn look() -> Self {
        Self {
            enabled: fs::read_to_string(ENABLED).is_ok_and(|text| text.trim() == "Y"),
            label: label().ok(),
            no_new_privileges: nix::sys::prctl::get_no_new_privs().unwrap_or(true),
            loaded: fs::read_to_string(LOADED).ok(),
        }
    }

    /// What keeps the layer from being enforced, with its remedy.
    fn flaws(&self, set: &ProfileSet, loaded: &[(String, String)], required: bool) -> Vec<String> {
        if !self.enabled {
            return vec![NO_KERNEL.to_owned()];
        }
        let listed = |wanted: &dyn Fn(&str) -> bool| -> Option<String> {
            let found = loaded.iter().filter(|(_, mode)| wanted(mode));
            let found: Vec<_> = found
                .map(|(name, mode)| format!("{name} ({mode})"))
                .collect();
            (!found.is_empty()).then(|| found.join(", "))
        };
        let missing = listed(&|mode| mode == MISSING);
        let lax = listed(&|mode| ![MISSING, UNKNOWN].contains(&mode) && !ENFORCING.contains(&mode));
        // Where the layer is required each worker and sandbox makes sure by itself, so no list is
        // needed.
        let unseen = listed(&|mode| mode == UNKNOWN && !required);
        let unconfined = (missing.is_none() && !self.is_confined(set)).then(|| {
            let label = self.label.as_deref().unwrap_or("an unknown label");
            let wanted = set.own();
            format!("the service runs as {label:?} and not under {wanted:?}: {NOT_ENTERED}")
        });
        let flaws = [
            missing.map(|names| format!("profiles are not loaded: {names}: {LOAD}")),
            lax.map(|names| format!("profiles are not enforced: {names}: {LOAD}")),
            unseen.map(|names| {
                format!("{LOADED} can't be read, so these do not count: {names}: {SHOW}")
            }),
            unconfined,
        ];
        flaws.into_iter().flatten().collect()
    }

    /// Whether this process is under its own profile.
    fn is_confined(&self, set: &ProfileSet) -> bool {
        let label = self.label.as_deref().unwrap_or(UNCONFINED);
        Label::parse(label).is_under(set.own())
    }

    /// How a worker enters its profile: in the place of this process's profile where that is
    /// allowed, else stacked over it. The worker must not leave a profile that somebody else (a
    /// container's runtime) put this process under. And under no_new_privs the kernel lets a
    /// confined process only add to its confinement.
    fn on_exec(&self, label: &str, set: &ProfileSet) -> Result<CString, String> {
        let names = Label::parse(label).names;
        let free = names == UNCONFINED || (names == HOST.own() && !self.no_new_privileges);
        let verb = if free { "exec" } else { "stack" };
        CString::new(format!("{verb} {}", set.worker)).map_err(|error| error.to_string())
    }
}

/// This process's label, such as `codejail-spawner (enforce)` or `unconfined`.
fn label() -> io::Result<String> {
    let read = |path| fs::read_to_string(path);
    let text = read(CURRENT[0]).or_else(|_| read(CURRENT[1]))?;
    Ok(text.trim_end_matches(['\n', '\0']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(label: &str, loaded: Option<&str>) -> AppArmorHost {
        AppArmorHost {
            enabled: true,
            label: Some(label.to_owned()),
            no_new_privileges: false,
            loaded: loaded.map(str::to_owned),
        }
    }

    const ALL: &str = "docker-default (enforce)\ncodejail-supervisor (enforce)\n\
                       codejail-spawner (enforce)\ncodejail-worker (enforce)\n\
                       codejail-sandbox (enforce)\n";
    const DEPLOYED: &str = "openedx_codejail_service (enforce)\n\
                            openedx_codejail_service//codejail_worker (enforce)\n\
                            openedx_codejail_service//codejail_sandbox (enforce)\n";

    fn on_exec(host: &AppArmorHost) -> String {
        let found = AppArmor::on(host, LayerMode::Require).unwrap();
        found.on_exec.unwrap().into_string().unwrap()
    }

    #[test]
    fn all_four_loaded_and_enforced_is_enforced() {
        let host = host("codejail-spawner (enforce)", Some(ALL));
        let found = AppArmor::on(&host, LayerMode::Require).unwrap();
        assert_eq!(found.found.flaws, [""; 0]);
        assert!(found.found.profiles.unwrap().enforced);
        assert_eq!(on_exec(&host), "exec codejail-worker");
    }

    #[test]
    fn a_required_layer_names_what_is_wrong() {
        let complain = ALL.replace("worker (enforce)", "worker (complain)");
        let missing = ALL.replace("codejail-sandbox", "another");
        for (host, named) in [
            (
                host("codejail-spawner (enforce)", Some(&complain)),
                "codejail-worker (complain)",
            ),
            (
                host("codejail-spawner (enforce)", Some(&missing)),
                "codejail-sandbox (missing)",
            ),
            (host("unconfined", Some(ALL)), "runs as \"unconfined\""),
            (
                host("codejail-supervisor (enforce)", Some(ALL)),
                "\"codejail-spawner\"",
            ),
            (
                AppArmorHost {
                    enabled: false,
                    ..host("", None)
                },
                "apparmor=1",
            ),
        ] {
            let error = AppArmor::on(&host, LayerMode::Require).unwrap_err();
            assert!(error.contains(named), "{error}");
            let auto = AppArmor::on(&host, LayerMode::Auto).unwrap();
            assert_eq!(auto.found.flaws, [error]);
        }
    }

    #[test]
    fn without_a_list_only_a_required_layer_is_tried() {
        let host = host("codejail-spawner (enforce)", None);
        assert!(
            AppArmor::on(&host, LayerMode::Require)
                .unwrap()
                .on_exec
                .is_some()
        );
        let auto = AppArmor::on(&host, LayerMode::Auto).unwrap();
        assert_eq!((auto.on_exec, auto.found.profiles), (None, None));
        assert!(auto.found.flaws[0].contains("can't be read"));
    }

    #[test]
    fn an_outer_profile_is_never_left() {
        let under_none = AppArmorHost {
            no_new_privileges: true,
            ..host("codejail-spawner (enforce)", Some(ALL))
        };
        assert_eq!(on_exec(&under_none), "stack codejail-worker");
        let stacked = host("docker-x//&codejail-spawner (enforce)", Some(ALL));
        assert_eq!(on_exec(&stacked), "stack codejail-worker");
        let container = host("openedx_codejail_service (enforce)", Some(DEPLOYED));
        assert_eq!(
            on_exec(&container),
            "stack openedx_codejail_service//codejail_worker"
        );
    }
}
