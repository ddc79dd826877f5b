//! However a launch, a run or the spawner itself ends, nothing is left.

use super::{Spawner, assert_launched, assert_refused, entries};
use codejail_harness::binary::codejail;
use codejail_harness::dir::{TestDir, set_mode};
use codejail_harness::own_python::OwnPython;
use codejail_harness::python::sandbox_python;
use codejail_harness::{cgroups, inject, machine};
use codejail_protocol::ScratchName;
use codejail_protocol::spawn::{SpawnerReport, SpawnerRequest, WorkerId};
use codejail_transport::PacketSocket;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::mkfifo;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The length of a name up to the end of its tag.
const TAGGED: usize = codejail_protocol::name::PREFIX.len() + codejail_protocol::name::TAG_CHARS;

#[test]
fn a_spawner_that_is_left_while_it_gets_ready_leaves_nothing() {
    let (root, gates) = (TestDir::new("spawner"), TestDir::new("gate"));
    let (named, gate) = (root.to_path_buf(), gates.join("gate"));
    mkfifo(&gate, Mode::from_bits_truncate(0o644)).expect("mkfifo");
    let python = OwnPython::script(&format!(
        "#!/bin/sh\nread word < {}\nexec {} \"$@\"\n",
        gate.display(),
        sandbox_python().display()
    ));
    let command = Command::new(codejail());
    let mut spawner = Spawner::begin(9, command, root, named, python.bin.clone());
    // This open waits until the script has the file open, too.
    let open = OpenOptions::new().write(true).open(&gate);
    let (gone, theirs) = PacketSocket::pair().expect("socketpair");
    drop((std::mem::replace(&mut spawner.socket, gone), theirs));
    open.expect("open").write_all(b"go\n").expect("write");
    spawner.end();
}

#[test]
fn wherever_a_launch_fails_nothing_stays() {
    let spawner = Spawner::start(10);
    let uid = spawner.uid(0);
    let pid = i32::try_from(spawner.process.id()).expect("a pid");
    // The spawner can receive the descriptors of the request. Each time it may have one more, so it
    // fails at one step after the other.
    let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors");
    let first = open.count() as u64 + 2;
    let launched = (first..first + 100).find(|descriptors| {
        inject::limit(pid, "--nofile", &format!("{descriptors}:"));
        let (dir, seat) = (spawner.name(20), spawner.name(21));
        let report = spawner.launch_as(WorkerId(*descriptors), dir, uid, vec![seat]);
        matches!(report, SpawnerReport::Launched { .. })
    });
    assert!(launched.is_some_and(|descriptors| descriptors > first));
    let tag = spawner.name(0).as_str()[..TAGGED].to_owned();
    assert!(
        cgroups::named(&tag).len() <= 1,
        "{:?}",
        cgroups::named(&tag)
    );
    spawner.end();
    assert_eq!(cgroups::named(&tag), Vec::<PathBuf>::new());
}

#[test]
fn directories_of_other_services_are_left_alone() {
    let spawner = Spawner::start(6);
    let foreign = ScratchName::from_random([30; 8]);
    let theirs = spawner.root.join(foreign.as_str());
    fs::create_dir(&theirs).expect("mkdir");
    fs::write(theirs.join("file"), "theirs").expect("write");
    spawner.say(&SpawnerRequest::Clean {
        dir: foreign.clone(),
    });
    assert_refused(&spawner.hear());
    let uid = spawner.uid(0);
    for (dir, seat) in [
        (foreign.clone(), spawner.name(21)),
        (spawner.name(20), foreign.clone()),
    ] {
        assert_refused(&spawner.launch_as(WorkerId(1), dir, uid, vec![seat]));
    }
    assert!(theirs.join("file").exists());
    fs::remove_dir_all(&theirs).expect("remove");
    spawner.end();
}

#[test]
fn garbage_ends_the_spawner() {
    let mut spawner = Spawner::start(3);
    send(spawner.socket.as_raw_fd(), b"garbage", MsgFlags::empty()).expect("send");
    let status = spawner.wait();
    assert_eq!(status.code(), Some(70));
    assert_eq!(entries(&spawner.root), 0);
}

#[test]
fn directories_are_removed_however_deep_and_closed_they_are() {
    let spawner = Spawner::start(4);
    let name = spawner.name(20);
    let top = spawner.root.join(name.as_str());
    fs::create_dir(&top).expect("mkdir");
    make_deep(&top, 3000);
    symlink("/etc", top.join("link")).expect("symlink");
    set_mode(&top.join("d"), 0).expect("chmod");
    spawner.say(&SpawnerRequest::Clean { dir: name.clone() });
    let report = spawner.hear();
    assert_eq!(
        report,
        SpawnerReport::Cleaned {
            dir: name,
            error: None,
            bytes: None
        }
    );
    assert!(!top.exists());
    assert!(Path::new("/etc/passwd").exists());
    spawner.end();
}

/// More names than one listing holds (65,536), so the removal has to list again. It takes part of a
/// second at least, and meanwhile a worker is launched.
#[test]
fn directories_are_removed_however_full_they_are_and_nobody_waits_for_it() {
    let _alone = machine::alone();
    let spawner = Spawner::start(11);
    let full = spawner.name(20);
    let top = spawner.root.join(full.as_str());
    fs::create_dir_all(top.join("d")).expect("mkdir");
    for number in 0..70_000 {
        File::create(top.join(format!("d/{number}"))).expect("file");
    }
    spawner.say(&SpawnerRequest::Clean { dir: full.clone() });
    let out_of_the_way = SpawnerReport::Cleaned {
        dir: full.clone(),
        error: None,
        bytes: None,
    };
    assert_eq!(spawner.hear(), out_of_the_way);
    assert!(!top.exists());
    let uid = spawner.uid(0);
    let seats = vec![spawner.name(23)];
    let report = spawner.launch_as(WorkerId(1), spawner.name(22), uid, seats);
    assert_launched(&report);
    let rest = spawner
        .root
        .join(spawner.name(0).as_str())
        .join(full.as_str());
    assert!(rest.exists(), "the launch took longer than the removal");
    spawner.end();
}

/// Nested directories, each with a file, deeper than any path can name.
fn make_deep(top: &Path, levels: usize) {
    let directory = OFlag::O_DIRECTORY;
    let mut at = open(top, directory, Mode::empty()).expect("open");
    for _ in 0..levels {
        mkdirat(&at, "d", Mode::S_IRWXU).expect("mkdirat");
        at = openat(&at, "d", directory, Mode::empty()).expect("openat");
        let file = OFlag::O_CREAT | OFlag::O_WRONLY;
        openat(&at, "file", file, Mode::S_IRUSR).expect("file");
    }
}
