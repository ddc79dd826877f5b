//! What a supervisor may ask for: workers of its own range of uids, and no more.

use super::{Spawner, UIDS, assert_launched, assert_refused};
use codejail_harness::binary::codejail;
use codejail_harness::dir::TestDir;
use codejail_harness::python::sandbox_python;
use codejail_harness::root::is_root;
use codejail_protocol::spawn::{SpawnerReport, SpawnerRequest, WorkerId};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

#[test]
fn no_worker_is_root_and_none_has_a_uid_outside_the_range() {
    let spawner = Spawner::start(1);
    // `base + 1` is the uid of a sandbox.
    let base = spawner.uids.uid_base();
    let mut refused = vec![Some(0), Some(base - 1), Some(base + 1), Some(base + UIDS)];
    if is_root() {
        refused.push(None);
    }
    for uid in refused {
        assert_refused(&spawner.launch(uid));
    }
    spawner.end();
}

#[test]
fn a_worker_that_runs_keeps_its_number_and_its_uid() {
    let spawner = Spawner::start(5);
    let launch = |worker, uid, dir| {
        let (dir, seat) = (spawner.name(dir), spawner.name(dir + 1));
        spawner.launch_as(WorkerId(worker), dir, uid, vec![seat])
    };
    let report = launch(1, spawner.uid(0), 20);
    assert_launched(&report);
    let mut refused = vec![(1, spawner.uid(UIDS / 5))];
    if is_root() {
        refused.push((2, spawner.uid(0)));
    }
    for (worker, uid) in refused {
        assert_refused(&launch(worker, uid, 22));
    }
    spawner.say(&SpawnerRequest::Kill {
        worker: WorkerId(1),
    });
    let report = spawner.hear();
    let SpawnerReport::Ended { worker, status } = report else {
        panic!("{report:?}");
    };
    assert_eq!((worker, status), (WorkerId(1), -9));
    spawner.end();
}

#[test]
fn seats_are_not_bounded_by_the_soft_limit_on_descriptors() {
    let mut command = Command::new("prlimit");
    command.args(["--nofile=100:", "--"]).arg(codejail());
    let spawner = Spawner::start_with(7, command);
    let uid = spawner.uid(0);
    let seats = (30..180).map(|number| spawner.name(number));
    let report = spawner.launch_as(WorkerId(1), spawner.name(20), uid, seats.collect());
    assert_launched(&report);
    spawner.end();
}

#[test]
fn the_scratch_root_may_be_a_link() {
    let (root, links) = (TestDir::new("spawner"), TestDir::new("link"));
    let link = links.join("link");
    symlink(&*root, &link).expect("symlink");
    let command = Command::new(codejail());
    let spawner = Spawner::begin(8, command, root, link, sandbox_python());
    assert!(matches!(spawner.hear(), SpawnerReport::Configured { .. }));
    let report = spawner.launch(spawner.uid(0));
    assert_launched(&report);
    let dir = spawner.name(22);
    fs::create_dir(spawner.root.join(dir.as_str())).expect("mkdir");
    spawner.say(&SpawnerRequest::Clean { dir: dir.clone() });
    let (error, bytes) = (None, None);
    assert_eq!(spawner.hear(), SpawnerReport::Cleaned { dir, error, bytes });
    spawner.end();
}

#[test]
fn a_launch_without_its_descriptors_is_refused() {
    let spawner = Spawner::start(2);
    spawner.say(&SpawnerRequest::Launch {
        worker: WorkerId(1),
        dir: spawner.name(20),
        uid: spawner.uid(0),
        seats: vec![spawner.name(21)],
    });
    let report = spawner.hear();
    assert!(
        matches!(report, SpawnerReport::LaunchFailed { .. }),
        "{report:?}"
    );
    spawner.end();
}
