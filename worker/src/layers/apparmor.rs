//! The AppArmor layer: the worker is under its profile when it starts, each sandbox stacks its own.
//!
//! Stacking is the one change that a process under no_new_privs may make: what holds is what both
//! profiles allow, and no way leads back. The kernel is not taken at its word that it was asked:
//! worker and sandbox read what they are under.

use super::LayerError;
use codejail_protocol::control::AppArmorProfiles;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};

const LAYER: &str = "apparmor";

/// AppArmor's own file, and that of the only security module (kernels before 5.8).
const ATTRIBUTES: [&str; 2] = [
    "/proc/self/attr/apparmor/current",
    "/proc/self/attr/current",
];

/// Longest label that is read: four profiles of a service's names and a container's beside fit ten
/// times over.
const LABEL_BYTES_MAX: u64 = 4096;

/// The layer, in a worker that is under its profile.
#[derive(Debug)]
pub struct AppArmor(AppArmorProfiles);

impl AppArmor {
    /// Makes sure that this worker is under its profile.
    ///
    /// # Errors
    /// It is not, or only in complain mode where it must be enforced.
    pub fn find(profiles: Option<&AppArmorProfiles>) -> Result<Option<Self>, LayerError> {
        let Some(profiles) = profiles else {
            return Ok(None);
        };
        let mut attributes = open(OpenOptions::new().read(true))?;
        expect(&mut attributes, &profiles.worker, profiles.enforced)?;
        Ok(Some(Self(profiles.clone())))
    }

    /// Opens what [`AppArmor::confine_sandbox`] writes to, for this process: while it is the
    /// worker's user, who alone may enter `/proc`.
    pub fn open_attributes(&self) -> Result<File, LayerError> {
        open(OpenOptions::new().read(true).write(true))
    }

    /// Stacks the sandbox's profile over the worker's, for good.
    ///
    /// Nothing that the sandbox still has to do may need more than that profile allows.
    pub fn confine_sandbox(&self, mut attributes: File) -> Result<(), LayerError> {
        let Self(profiles) = self;
        // One write, or the kernel reads half a name.
        let order = format!("stack {}", profiles.sandbox);
        let written = attributes.write(order.as_bytes());
        match written.map_err(LayerError::at(LAYER, "stack the sandbox's profile"))? {
            whole if whole == order.len() => {}
            _ => return Err(LayerError::refused(LAYER, "a whole write")),
        }
        expect(&mut attributes, &profiles.sandbox, profiles.enforced)
    }
}

fn open(options: &OpenOptions) -> Result<File, LayerError> {
    let opened = match options.open(ATTRIBUTES[0]) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => options.open(ATTRIBUTES[1]),
        opened => opened,
    };
    opened.map_err(LayerError::at(LAYER, "open attr/current"))
}

/// Reads this process's label and compares.
fn expect(attributes: &mut File, profile: &str, enforced: bool) -> Result<(), LayerError> {
    let mut label = String::new();
    attributes
        .take(LABEL_BYTES_MAX)
        .read_to_string(&mut label)
        .map_err(LayerError::at(LAYER, "read attr/current"))?;
    let label = label.trim_end_matches(['\n', '\0']);
    if is_under(label, profile, enforced) {
        return Ok(());
    }
    let wanted = if enforced { ", enforced" } else { "" };
    let cause = format!("it is {label:?} and must be {profile}{wanted}; load the profiles again");
    Err(LayerError::at(LAYER, "the label")(cause))
}

/// Whether a label such as `a//&b (enforce)` has this profile in it, and all of it holds.
fn is_under(label: &str, profile: &str, enforced: bool) -> bool {
    let (names, mode) = label.rsplit_once(" (").unwrap_or((label, ""));
    let holds = ["enforce)", "kill)"].contains(&mode);
    names.split("//&").any(|name| name == profile) && (holds || !enforced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_counts_by_whole_names_and_by_its_mode() {
        assert!(is_under("cj-worker (enforce)", "cj-worker", true));
        assert!(is_under(
            "outer//&cj-worker//&cj-sandbox (enforce)",
            "cj-sandbox",
            true
        ));
        assert!(is_under(
            "svc//worker//&svc//sandbox (enforce)",
            "svc//sandbox",
            true
        ));
        assert!(!is_under("cj-worker (enforce)", "cj-sandbox", true));
        assert!(!is_under("cj-worker-2 (enforce)", "cj-worker", true));
        assert!(!is_under("cj-worker (complain)", "cj-worker", true));
        assert!(!is_under(
            "cj-worker//&cj-sandbox (mixed)",
            "cj-sandbox",
            true
        ));
        assert!(is_under("cj-worker (complain)", "cj-worker", false));
        assert!(!is_under("unconfined", "cj-worker", false));
    }
}
