//! The configurations of deploy/config, of which an operator takes one. Each is started as it is,
//! except for `enabled` and for what each test has of its own (port, uids, user, Python).

use codejail_harness::binary::codejail_command;
use codejail_harness::machine;
use codejail_harness::wait::{START_MAX, wait_until};
use codejail_harness::{Service, Setup, needs_root};
use serde_json::json;
use std::path::PathBuf;

fn path_of(size: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../deploy/config/{size}.toml"))
}

/// Starts a service of this size, waits for all of its workers, executes, and tells the service to
/// end.
fn a_service_of_that_size_serves(size: &str, workers: u64) {
    // Each worker takes 150 MiB. Workers that warm up at the same time make each other slow.
    let _alone = machine::alone();
    let file = path_of(size);
    let checked = codejail_command()
        .args(["serve", "--check-config", "--config"])
        .arg(&file)
        .output()
        .expect("codejail runs");
    assert!(checked.status.success(), "{checked:?}");
    assert!(checked.stderr.is_empty(), "{checked:?}");
    let base = std::fs::read_to_string(file).expect("a configuration");
    let service = Service::start_as(&Setup {
        base: &base,
        overrides: "enabled = true",
        ..Setup::default()
    });
    wait_until("all workers serve", START_MAX, || {
        service.metric("codejail_workers") == workers
    });
    assert_eq!(service.value_of_x("x = 6 * 7"), json!(42));
}

#[test]
fn the_configuration_of_a_small_site_serves() {
    needs_root!();
    a_service_of_that_size_serves("small", 2);
}

#[test]
fn the_configuration_of_a_medium_site_serves() {
    needs_root!();
    a_service_of_that_size_serves("medium", 8);
}

#[test]
fn the_configuration_of_a_large_site_serves() {
    needs_root!();
    a_service_of_that_size_serves("large", 16);
}
