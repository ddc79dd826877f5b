//! The AppArmor layer: the worker is under its profile when it starts, each sandbox stacks its own.
//!
//! Stacking is the one change that a process under no_new_privs may make: what holds is what both
//! profiles allow, and no way leads back. The kernel is not taken at its word that it was asked:
//! worker and sandbox read what they are under.

use super::LayerError;
use codejail_protocol::apparmor::{CURRENT, Label};
use codejail_protocol::control::AppArmorProfiles;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};

const LAYER: &str = "apparmor";

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
    let opened = match options.open(CURRENT[0]) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => options.open(CURRENT[1]),
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
    if holds(label, profile, enforced) {
        return Ok(());
    }
    let wanted = if enforced { ", enforced" } else { "" };
    let cause = format!("it is {label:?} and must be {profile}{wanted}; load the profiles again");
    Err(LayerError::at(LAYER, "the label")(cause))
}

/// Whether the process is under this profile, in a mode that is enough.
fn holds(label: &str, profile: &str, enforced: bool) -> bool {
    let label = Label::parse(label);
    label.is_under(profile) && (label.is_enforced() || !enforced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complain_is_enough_only_where_nothing_has_to_be_enforced() {
        for (label, profile, enforced, expected) in [
            ("cj-worker (enforce)", "cj-worker", true, true),
            ("cj-worker (complain)", "cj-worker", true, false),
            ("cj-worker//&cj-sandbox (mixed)", "cj-sandbox", true, false),
            ("cj-worker (complain)", "cj-worker", false, true),
            ("cj-worker (enforce)", "cj-sandbox", true, false),
            ("unconfined", "cj-worker", false, false),
        ] {
            assert_eq!(holds(label, profile, enforced), expected, "{label}");
        }
    }
}
