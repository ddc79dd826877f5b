//! The AppArmor layer. The worker is under its profile when it starts, and each sandbox stacks its
//! own profile over that.
//!
//! Stacking is the one change of profiles that a process under no_new_privs may make. What both
//! profiles allow is allowed, and the change can't be undone. A successful call is not enough:
//! worker and sandbox read under which profiles they are.

use super::LayerError;
use codejail_protocol::apparmor::{CURRENT, Label};
use codejail_protocol::control::AppArmorProfiles;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};

const LAYER: &str = "apparmor";

/// Longest label that is read. The names of a service's four profiles, and of a container's beside
/// them, fit into it ten times.
const LABEL_BYTES_MAX: u64 = 4096;

/// The layer, in a worker that is under its profile.
#[derive(Debug)]
pub struct AppArmor(AppArmorProfiles);

impl AppArmor {
    /// Makes sure that this worker is under its profile.
    ///
    /// # Errors
    /// It is not under the profile. Or it is only in complain mode, and the profile must be
    /// enforced.
    pub fn find(profiles: Option<&AppArmorProfiles>) -> Result<Option<Self>, LayerError> {
        let Some(profiles) = profiles else {
            return Ok(None);
        };
        let mut attributes = open(OpenOptions::new().read(true))?;
        expect(&mut attributes, &profiles.worker, profiles.enforced)?;
        Ok(Some(Self(profiles.clone())))
    }

    /// Opens, for this process, the file that [`AppArmor::confine_sandbox`] writes to. The process
    /// must still be the worker's user, who alone may enter `/proc`.
    pub fn open_attributes(&self) -> Result<File, LayerError> {
        open(OpenOptions::new().read(true).write(true))
    }

    /// Stacks the sandbox's profile over the worker's. It can't be undone.
    ///
    /// All later steps of the sandbox must be allowed by that profile.
    pub fn confine_sandbox(&self, mut attributes: File) -> Result<(), LayerError> {
        let Self(profiles) = self;
        // The order must be one write; otherwise the kernel would read half a name.
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

/// Reads this process's label, and compares it with the profile.
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

/// Whether the process is under this profile, and in a sufficient mode.
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
