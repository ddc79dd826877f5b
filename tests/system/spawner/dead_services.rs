//! A service whose spawner was killed leaves files. The next service of this host removes them, and
//! nothing else.

use super::{Spawner, assert_launched};
use codejail_harness::binary::codejail;
use codejail_harness::cgroups;
use codejail_harness::dir::{TestDir, set_mode};
use codejail_harness::needs_root;
use codejail_harness::python::sandbox_python;
use codejail_harness::wait::{END_MAX, wait_until};
use codejail_protocol::ScratchName;
use codejail_protocol::control::LayerMode;
use codejail_protocol::spawn::{SaidLevel, SpawnerReport, WorkerId};
use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

/// A spawner that uses the scratch root of another.
fn start_in(tag: u8, root: &Path, layers: LayerMode) -> Spawner {
    let (own, named) = (TestDir::new("spawner"), root.to_path_buf());
    let command = Command::new(codejail());
    let spawner = Spawner::begin_with(tag, command, own, named, sandbox_python(), layers);
    assert!(matches!(spawner.hear(), SpawnerReport::Configured { .. }));
    spawner
}

/// A directory as an execution leaves it.
fn make_left(root: &Path, name: &ScratchName) {
    let dir = root.join(name.as_str());
    fs::create_dir_all(dir.join("tmp/deep")).expect("mkdir");
    fs::write(dir.join("tmp/deep/file"), "").expect("write");
    set_mode(&dir.join("tmp"), 0o500).expect("chmod");
}

#[test]
fn what_a_killed_spawner_has_left_the_next_one_removes() {
    let root = TestDir::new("shared");
    let dead = start_in(40, &root, LayerMode::Off);
    assert_launched(&dead.launch(dead.uid(0)));
    let (tag, left) = (dead.name(0), dead.name(30));
    make_left(&root, &left);
    let home = root.join(dead.name(20).as_str());
    assert!(home.exists());
    drop(dead.kill());
    assert!(root.join(tag.as_str()).exists());

    let next = start_in(41, &root, LayerMode::Off);
    let (level, text) = next.hear_said();
    assert_eq!(level, SaidLevel::Info, "{text}");
    assert!(text.contains(tag.as_str()), "{text}");
    for path in [&home, &root.join(tag.as_str()), &root.join(left.as_str())] {
        assert!(!path.exists(), "{}", path.display());
    }
    next.end();
    assert_eq!(super::entries(&root), 0);
}

#[test]
fn what_living_services_have_and_what_has_no_lock_is_left_alone() {
    let root = TestDir::new("shared");
    let living = start_in(42, &root, LayerMode::Off);
    assert_launched(&living.launch(living.uid(0)));
    make_left(&root, &living.name(30));
    // The names are those that a service could have, but the directories lack what a service makes
    // in them.
    let unlocked = [0, 30].map(|number| ScratchName::from_random([36, 1, 2, 3, 0, 0, 0, number]));
    for name in &unlocked {
        make_left(&root, name);
        set_mode(&root.join(name.as_str()), 0o700).expect("chmod");
    }
    let dead = start_in(43, &root, LayerMode::Off);
    let tag = dead.name(0);
    drop(dead.kill());

    let next = start_in(44, &root, LayerMode::Off);
    let (level, text) = next.hear_said();
    assert!(text.contains(tag.as_str()), "{level:?} {text}");
    for name in [living.name(0), living.name(20), living.name(30)] {
        assert!(root.join(name.as_str()).exists(), "{name}");
    }
    for name in &unlocked {
        assert!(root.join(name.as_str()).join("tmp/deep/file").exists());
    }
    living.end();
    next.end();
    assert_eq!(super::entries(&root), unlocked.len());
}

#[test]
fn a_directory_of_somebody_elses_stays_whatever_its_name_is() {
    needs_root!();
    let root = TestDir::new("shared");
    let dead = start_in(45, &root, LayerMode::Off);
    let (tag, foreign) = (dead.name(0), dead.name(30));
    make_foreign(&root, &foreign);
    drop(dead.kill());
    let next = start_in(46, &root, LayerMode::Off);
    let own = next.name(30);
    make_foreign(&root, &own);
    let (_, text) = next.hear_said();
    assert!(text.contains(tag.as_str()), "{text}");
    assert!(!root.join(tag.as_str()).exists());
    next.end();
    for name in [foreign, own] {
        assert!(root.join(name.as_str()).join("tmp").exists(), "{name}");
    }
}

/// Everybody can see a service's tag below `/tmp`, and make a directory of such a name.
fn make_foreign(root: &Path, name: &ScratchName) {
    make_left(root, name);
    let nobody = Some(65_534);
    chown(root.join(name.as_str()), nobody, nobody).expect("chown");
}

#[test]
fn the_cgroup_of_a_killed_spawner_is_removed_and_that_of_a_living_one_is_not() {
    needs_root!();
    let (living, dead) = (Spawner::start(47), Spawner::start(48));
    assert_launched(&dead.launch_as(WorkerId(1), dead.name(20), dead.uid(0), vec![dead.name(21)]));
    let (lives, left) = (living.name(0), dead.name(0));
    if cgroups::named(left.as_str()).is_empty() {
        codejail_harness::skip!("needs cgroups of version 2");
    }
    drop(dead.kill());
    assert_eq!(cgroups::named(left.as_str()).len(), 1);
    // The worker of the dead service ends with it. Until then its cgroup has a process, and stays.
    wait_until("the cgroup of the dead one gone", END_MAX, || {
        let next = Spawner::start(49);
        next.end();
        cgroups::named(left.as_str()).is_empty()
    });
    assert_eq!(cgroups::named(lives.as_str()).len(), 1);
    living.end();
}
