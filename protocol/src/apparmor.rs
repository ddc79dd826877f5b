//! AppArmor's labels as text: the profiles that confine a process, as the kernel shows them.

/// The files in which a process reads its own label and orders a change of it. The first is
/// AppArmor's own; kernels before 5.8 do not have it, and not every procfs shows it. The second
/// belongs to the first of several security modules.
pub const CURRENT: [&str; 2] = [
    "/proc/self/attr/apparmor/current",
    "/proc/self/attr/current",
];

/// Modes in which a profile is enforced; `kill` also ends the process that breaks it.
pub const ENFORCING: [&str; 2] = ["enforce", "kill"];

/// What separates stacked profiles.
const STACKED: &str = "//&";

/// A label such as `codejail-spawner (enforce)`, `docker-default//&codejail-worker (enforce)` or
/// `unconfined`. A line of the kernel's list of loaded profiles has the same form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label<'a> {
    /// The names of all profiles, as the kernel writes them.
    pub names: &'a str,
    /// The mode of the profiles; empty where the label names none.
    pub mode: &'a str,
}

impl<'a> Label<'a> {
    /// Takes a label apart. The result does not include the line feed or zero byte that the kernel
    /// writes after a label.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        let names = text.trim_end_matches(['\n', '\0']);
        let parts = names
            .strip_suffix(')')
            .and_then(|label| label.rsplit_once(" ("));
        let (names, mode) = parts.unwrap_or((names, ""));
        Self { names, mode }
    }

    /// Whether this profile is one of the label's profiles. Only the whole name counts.
    #[must_use]
    pub fn is_under(&self, profile: &str) -> bool {
        self.names.split(STACKED).any(|name| name == profile)
    }

    /// Whether all profiles of the label are enforced.
    #[must_use]
    pub fn is_enforced(&self) -> bool {
        ENFORCING.contains(&self.mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_names_and_a_mode() {
        for (text, names, mode) in [
            ("cj-worker (enforce)", "cj-worker", "enforce"),
            ("cj-worker (complain)\n", "cj-worker", "complain"),
            ("a (b)//&c (mixed)\0", "a (b)//&c", "mixed"),
            ("unconfined\n", "unconfined", ""),
            ("cut (enf", "cut (enf", ""),
            ("", "", ""),
        ] {
            assert_eq!(Label::parse(text), Label { names, mode }, "{text:?}");
        }
    }

    #[test]
    fn a_profile_counts_by_its_whole_name() {
        for (text, profile) in [
            ("cj-worker (enforce)", "cj-worker"),
            ("outer//&cj-worker//&cj-sandbox (enforce)", "cj-sandbox"),
            ("svc//worker//&svc//sandbox (enforce)", "svc//sandbox"),
        ] {
            assert!(Label::parse(text).is_under(profile), "{text}");
        }
        for (text, profile) in [
            ("cj-worker (enforce)", "cj-sandbox"),
            ("cj-worker-2 (enforce)", "cj-worker"),
            ("svc//worker (enforce)", "svc"),
            ("unconfined", "cj-worker"),
        ] {
            assert!(!Label::parse(text).is_under(profile), "{text}");
        }
    }

    #[test]
    fn only_enforce_and_kill_enforce() {
        for text in ["a (enforce)", "a (kill)"] {
            assert!(Label::parse(text).is_enforced(), "{text}");
        }
        for text in [
            "a (complain)",
            "a//&b (mixed)",
            "a (prompt)",
            "unconfined",
            "a (enforce",
        ] {
            assert!(!Label::parse(text).is_enforced(), "{text}");
        }
    }
}
