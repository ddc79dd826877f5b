//! A worker's end is reported when its sandboxes are gone, too. Nothing else waits for that.

use super::{Spawner, assert_launched, assert_refused};
use codejail_harness::binary::codejail;
use codejail_harness::dir::{TestDir, set_mode};
use codejail_harness::own_python::OwnPython;
use codejail_harness::python::sandbox_python;
use codejail_harness::wait::{END_MAX, wait_for, wait_until};
use codejail_harness::{cgroups, needs_root, skip};
use codejail_protocol::control::LayerMode;
use codejail_protocol::spawn::{SpawnerReport, SpawnerRequest, WorkerId};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A worker that leaves a process behind, which does not end by itself. `FILE` gets its number.
fn leaves_a_process(file: &Path) -> OwnPython {
    OwnPython::shell(&format!(
        "sleep 1000 <&- >&- 2>&- &\necho $! > {0}.new\nmv {0}.new {0}\n",
        file.display()
    ))
}

#[test]
fn without_a_pid_namespace_a_uid_is_free_when_its_last_process_is_gone() {
    let (root, marks) = (TestDir::new("spawner"), TestDir::new("marks"));
    set_mode(&marks, 0o777).expect("chmod");
    let file = marks.join("pid");
    let python = leaves_a_process(&file);
    let (command, named) = (Command::new(codejail()), root.to_path_buf());
    let bin = python.bin.clone();
    let spawner = Spawner::begin_with(50, command, root, named, bin, LayerMode::Off);
    assert!(matches!(spawner.hear(), SpawnerReport::Configured { .. }));
    let SpawnerReport::Launched { pid, .. } = spawner.launch(spawner.uid(0)) else {
        panic!("not launched");
    };
    let orphan = wait_for("the orphan's number", END_MAX, || {
        fs::read_to_string(&file).ok()?.trim().parse().ok()
    });
    wait_until("the worker's end", END_MAX, || {
        !Path::new(&format!("/proc/{pid}")).exists()
    });
    // The worker's place is not free yet: neither its number nor its uid.
    assert_refused(&spawner.launch(spawner.uid(0)));
    kill(Pid::from_raw(orphan), Signal::SIGKILL).expect("kill");
    let report = spawner.hear();
    let ended = SpawnerReport::Ended {
        worker: WorkerId(1),
        status: 0,
    };
    assert_eq!(report, ended);
    spawner.end();
}

#[test]
fn a_cgroup_that_can_not_be_removed_holds_nobody_up() {
    needs_root!();
    let spawner = Spawner::start(51);
    assert_launched(&spawner.launch(spawner.uid(0)));
    let Some(cgroup) = cgroups::named(spawner.name(0).as_str()).pop() else {
        skip!("needs cgroups of version 2");
    };
    // The kernel does not remove a cgroup that has a cgroup below it.
    let worker = cgroup.join("worker-1");
    fs::create_dir(worker.join("child")).expect("mkdir");
    let asked = Instant::now();
    spawner.say(&SpawnerRequest::Kill {
        worker: WorkerId(1),
    });
    let report = spawner.hear();
    assert!(matches!(report, SpawnerReport::Ended { .. }), "{report:?}");
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    fs::remove_dir(worker.join("child")).expect("rmdir");
    fs::remove_dir(worker).expect("rmdir");
    spawner.end();
}

#[test]
fn a_log_that_takes_nothing_ends_no_spawner() {
    let full = || {
        let full = OpenOptions::new().write(true).open("/dev/full");
        Stdio::from(full.expect("open"))
    };
    let mut command = Command::new(codejail());
    command.stderr(full());
    let spawner = Spawner::start_with(52, command);
    // This is no directory, so the spawner leaves it, and has to say so at its end.
    let stays = spawner.root.join(spawner.name(30).as_str());
    fs::write(&stays, "").expect("write");
    let (status, root) = spawner.leave();
    assert!(status.success(), "{status}");
    assert!(stays.exists());
    drop(root);
}

#[test]
fn signals_to_a_whole_service_do_not_disturb_a_spawner_that_gets_ready() {
    let (root, gates) = (TestDir::new("spawner"), TestDir::new("gate"));
    let (named, gate) = (root.to_path_buf(), gates.join("gate"));
    mkfifo(&gate, Mode::from_bits_truncate(0o644)).expect("mkfifo");
    let python = OwnPython::script(&format!(
        "#!/bin/sh\nread word < {}\nexec {} \"$@\"\n",
        gate.display(),
        sandbox_python().display()
    ));
    let command = Command::new(codejail());
    let spawner = Spawner::begin(53, command, root, named, python.bin.clone());
    let pid = Pid::from_raw(spawner.process.id().cast_signed());
    // This open waits until the script has the file open, too: then Python is being asked.
    let open = OpenOptions::new().write(true).open(&gate);
    for signal in [
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGTERM,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGWINCH,
    ] {
        kill(pid, signal).expect("kill");
    }
    open.expect("open").write_all(b"go\n").expect("write");
    let report = spawner.hear();
    assert!(
        matches!(report, SpawnerReport::Configured { .. }),
        "{report:?}"
    );
    spawner.end();
}
