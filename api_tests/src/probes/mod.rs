//! The probes, a file for each group. No probe depends on another. No probe does harm, even if it
//! succeeds: it attacks decoys, or asks the kernel for something impossible.

mod costs;
mod files;
mod kernel;
mod leaks;
mod long_calls;
mod network;
mod plants;
mod processes;
mod resources;
mod works;

use crate::probe::Group;

/// All groups.
pub const GROUPS: &[Group] = &[
    Group {
        name: "files",
        parts: files::PARTS,
    },
    Group {
        name: "processes",
        parts: processes::PARTS,
    },
    Group {
        name: "network",
        parts: &[network::PROBES],
    },
    Group {
        name: "kernel",
        parts: kernel::PARTS,
    },
    Group {
        name: "resources",
        parts: &[resources::PROBES],
    },
    Group {
        name: "costs",
        parts: costs::PARTS,
    },
    Group {
        name: "leaks",
        parts: &[leaks::PROBES],
    },
    Group {
        name: "plants",
        parts: &[plants::PROBES],
    },
    Group {
        name: "works",
        parts: works::PARTS,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Expected, ProbeKind};
    use std::collections::BTreeSet;

    #[test]
    fn there_are_many_with_names_of_their_own_that_say_what_is_expected() {
        let all: Vec<_> = GROUPS.iter().flat_map(Group::probes).collect();
        let names: BTreeSet<&str> = all.iter().map(|probe| probe.name).collect();
        assert_eq!(names.len(), all.len());
        assert!(all.len() >= 150, "{}", all.len());
        for probe in all {
            let attack = probe.name.starts_with("deny_");
            let works = probe.name.starts_with("allow_") || probe.name.starts_with("support_");
            assert_eq!(
                (attack, works),
                (probe.is_attack(), !probe.is_attack()),
                "{}",
                probe.name
            );
            assert!(probe.shows.ends_with('.'), "{}: one sentence", probe.name);
            if let ProbeKind::Works(Expected::X(json)) = probe.kind {
                let parsed = serde_json::from_str::<serde_json::Value>(json);
                assert!(parsed.is_ok(), "{}: {json}", probe.name);
            }
        }
    }
}
