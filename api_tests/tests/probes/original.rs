//! The counterparts of the original's API tests, on a host that gives fewer layers.

use super::runs::{All, described, run_these};
use super::services::{LIMITS, Probed};
use codejail_api_tests::run;
use codejail_harness::root::say;
use codejail_harness::{machine, needs_root};

#[test]
fn errors_are_the_original_s_without_mounts_and_without_namespaces_too() {
    needs_root!();
    let _alone = machine::alone();
    for off in [&["mounts"][..], &["mounts", "namespaces"]] {
        let service = Probed::start(false, off);
        let mut chosen = run::choose("");
        chosen.retain(|(_, probe)| probe.original.is_some());
        say(&format!("--- without {}\n", off.join(", ")));
        let All(all) = run_these(&service.target(), &chosen, &service.decoys, LIMITS);
        let failed = all.iter().filter(|f| !f.outcome.passes(f.probe.kind));
        let failed: Vec<_> = failed.collect();
        assert!(failed.is_empty(), "{off:?}\n{}", described(&failed));
    }
}
