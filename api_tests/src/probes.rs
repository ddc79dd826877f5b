//! The probes, a file for each group. None depends on another, and each is harmless also where it
//! succeeds: it goes for baits, or asks the kernel for what cannot be.

mod files;
mod kernel;
mod leaks;
mod network;
mod plants;
mod processes;
mod resources;
mod works;

use crate::probe::Group;

/// All of them.
pub const GROUPS: &[Group] = &[
    Group {
        name: "files",
        probes: files::PROBES,
    },
    Group {
        name: "processes",
        probes: processes::PROBES,
    },
    Group {
        name: "network",
        probes: network::PROBES,
    },
    Group {
        name: "kernel",
        probes: kernel::PROBES,
    },
    Group {
        name: "resources",
        probes: resources::PROBES,
    },
    Group {
        name: "leaks",
        probes: leaks::PROBES,
    },
    Group {
        name: "plants",
        probes: plants::PROBES,
    },
    Group {
        name: "works",
        probes: works::PROBES,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Expected, Kind};
    use std::collections::BTreeSet;

    #[test]
    fn there_are_many_with_names_of_their_own_that_say_what_is_expected() {
        let all: Vec<_> = GROUPS.iter().flat_map(|group| group.probes).collect();
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
            if let Kind::Works(Expected::X(json)) = probe.kind {
                let parsed = serde_json::from_str::<serde_json::Value>(json);
                assert!(parsed.is_ok(), "{}: {json}", probe.name);
            }
        }
    }
}
