//! The spawner keeps its bounds whatever the supervisor has become: here the test is the supervisor.

mod support;

use codejail_protocol::ScratchName;
use codejail_protocol::control::LayerMode;
use codejail_protocol::spawn::{
    CgroupLimits, SpawnerConfig, SpawnerLayers, SpawnerOrder, SpawnerReport, WorkerBounds, WorkerId,
};
use codejail_transport::PacketSocket;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo, pipe2, write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use support::own_python::OwnPython;
use support::processes::wait_for;
use support::{END_MAX, cgroups, sandbox_python};

/// Of a name, up to the end of the tag.
const TAGGED: usize = codejail_protocol::name::PREFIX.len() + codejail_protocol::name::TAG_CHARS;
const UID_BASE: u32 = 352_000_000;
/// For five workers, each with as many seats.
const UIDS: u32 = 5 * 200;

/// A spawner whose supervisor is the test.
struct Spawner {
    process: Child,
    socket: PacketSocket,
    root: PathBuf,
    tag: [u8; 4],
    /// What workers print to: a full pipe, so that one stays, since it can't say that its module is none.
    log: (OwnedFd, OwnedFd),
}

impl Spawner {
    fn start(tag: u8) -> Self {
        Self::start_with(tag, Command::new(env!("CARGO_BIN_EXE_codejail")))
    }

    fn start_with(tag: u8, command: Command) -> Self {
        let root = std::env::temp_dir().join(format!("cj-spawner-{}-{tag}", std::process::id()));
        std::fs::create_dir(&root).expect("scratch root");
        let spawner = Self::begin(tag, command, &root, root.clone(), sandbox_python());
        assert!(matches!(spawner.hear(), SpawnerReport::Configured { .. }));
        spawner
    }

    /// One that is told its configuration. Below `root` is what it makes; `named` is the configuration's
    /// name for that.
    fn begin(
        tag: u8,
        mut command: Command,
        root: &Path,
        named: PathBuf,
        python_bin: PathBuf,
    ) -> Self {
        let (socket, theirs) = PacketSocket::pair().expect("socketpair");
        let process = command
            .arg("spawner")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .expect("spawner");
        let spawner = Self {
            process,
            socket,
            root: root.to_owned(),
            tag: tag_bytes(tag),
            log: full_pipe(),
        };
        spawner.say(&SpawnerOrder::Configure(SpawnerConfig {
            python_bin,
            // Any file will do: no worker gets as far as loading it.
            worker_module: PathBuf::from("/etc/passwd"),
            env: Vec::new(),
            scratch_root: named,
            scratch_tag: spawner.name(0),
            uid_base: UID_BASE,
            uid_count: UIDS,
            uids_per_worker: UIDS / 5,
            // Where the interpreter's own libraries are.
            // The tests run side by side.
            shares_uids: true,
            read_paths: ["/usr/lib", "/usr/lib64", "/lib", "/lib64"]
                .map(PathBuf::from)
                .to_vec(),
            bounds: WorkerBounds {
                scratch_bytes_max: 1 << 20,
                scratch_files_max: 100,
                cgroup: CgroupLimits {
                    memory_bytes_max: 0,
                    pids_max: 0,
                },
            },
            layers: SpawnerLayers {
                namespaces: LayerMode::Auto,
                mounts: LayerMode::Auto,
                cgroup: LayerMode::Auto,
                apparmor: LayerMode::Auto,
            },
        }));
        spawner
    }

    fn say(&self, order: &SpawnerOrder) {
        self.socket.send(order, &[]).expect("send");
    }

    fn hear(&self) -> SpawnerReport {
        let packet = self.socket.receive().expect("receive");
        packet.expect("the spawner is gone").message
    }

    /// A name with this service's tag.
    fn name(&self, number: u8) -> ScratchName {
        let [a, b, c, d] = self.tag;
        // There are 37 characters.
        ScratchName::from_random([a, b, c, d, 0, 0, number / 37, number % 37])
    }

    fn launch(&self, uid: Option<u32>) -> SpawnerReport {
        self.launch_as(WorkerId(1), self.name(20), uid, vec![self.name(21)])
    }

    fn launch_as(
        &self,
        worker: WorkerId,
        dir: ScratchName,
        uid: Option<u32>,
        seats: Vec<ScratchName>,
    ) -> SpawnerReport {
        let (control, _theirs) = PacketSocket::pair().expect("socketpair");
        let order = SpawnerOrder::Launch {
            worker,
            dir,
            uid,
            seats,
        };
        let descriptors = [control.as_fd(), self.log.1.as_fd()];
        self.socket.send(&order, &descriptors).expect("send");
        self.hear()
    }

    /// Closes the socket, and sees that it leaves nothing.
    fn end(mut self) {
        drop(self.socket);
        let status = wait_for("its end", END_MAX, || {
            self.process.try_wait().expect("wait")
        });
        assert!(status.success(), "{status}");
        assert_eq!(entries(&self.root), 0);
        std::fs::remove_dir(&self.root).expect("remove");
    }
}

/// Of one test's service, in one process of tests: its cgroup has this name on the whole host.
fn tag_bytes(test: u8) -> [u8; 4] {
    let pid = std::process::id().to_le_bytes();
    [test, pid[0] % 37, pid[1] % 37, pid[2] % 37]
}

fn full_pipe() -> (OwnedFd, OwnedFd) {
    let (read, filled) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).expect("pipe");
    while write(&filled, &[0]) != Err(Errno::EAGAIN) {}
    fcntl(&filled, FcntlArg::F_SETFL(OFlag::empty())).expect("fcntl");
    (read, filled)
}

fn entries(root: &Path) -> usize {
    std::fs::read_dir(root).expect("scratch root").count()
}

#[test]
fn no_worker_is_root_and_none_has_a_uid_outside_the_range() {
    let spawner = Spawner::start(1);
    // The second is a sandbox's.
    let mut refused = vec![
        Some(0),
        Some(UID_BASE - 1),
        Some(UID_BASE + 1),
        Some(UID_BASE + UIDS),
    ];
    if geteuid().is_root() {
        refused.push(None);
    }
    for uid in refused {
        let report = spawner.launch(uid);
        let SpawnerReport::LaunchFailed { error, .. } = &report else {
            panic!("{uid:?}: {report:?}");
        };
        assert!(error.starts_with("refused: "), "{uid:?}: {error}");
    }
    spawner.end();
}

#[test]
fn a_worker_that_runs_keeps_its_number_and_its_uid() {
    let spawner = Spawner::start(5);
    let uid = |number| geteuid().is_root().then_some(UID_BASE + number);
    let launch = |worker, uid, dir| {
        let (dir, seat) = (spawner.name(dir), spawner.name(dir + 1));
        spawner.launch_as(WorkerId(worker), dir, uid, vec![seat])
    };
    let report = launch(1, uid(0), 20);
    assert!(
        matches!(report, SpawnerReport::Launched { .. }),
        "{report:?}"
    );
    let mut refused = vec![(1, uid(UIDS / 5))];
    if geteuid().is_root() {
        refused.push((2, uid(0)));
    }
    for (worker, uid) in refused {
        let report = launch(worker, uid, 22);
        let SpawnerReport::LaunchFailed { error, .. } = &report else {
            panic!("{worker} {uid:?}: {report:?}");
        };
        assert!(error.starts_with("refused: "), "{worker} {uid:?}: {error}");
    }
    spawner.say(&SpawnerOrder::Kill {
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
    command.args(["--nofile=100:", "--", env!("CARGO_BIN_EXE_codejail")]);
    let spawner = Spawner::start_with(7, command);
    let uid = geteuid().is_root().then_some(UID_BASE);
    let seats = (30..180).map(|number| spawner.name(number));
    let report = spawner.launch_as(WorkerId(1), spawner.name(20), uid, seats.collect());
    assert!(
        matches!(report, SpawnerReport::Launched { .. }),
        "{report:?}"
    );
    spawner.end();
}

#[test]
fn the_scratch_root_may_be_a_link() {
    let root = std::env::temp_dir().join(format!("cj-spawner-{}-8", std::process::id()));
    let link = root.with_extension("link");
    std::fs::create_dir(&root).expect("scratch root");
    std::os::unix::fs::symlink(&root, &link).expect("symlink");
    let command = Command::new(env!("CARGO_BIN_EXE_codejail"));
    let spawner = Spawner::begin(8, command, &root, link.clone(), sandbox_python());
    assert!(matches!(spawner.hear(), SpawnerReport::Configured { .. }));
    let report = spawner.launch(geteuid().is_root().then_some(UID_BASE));
    assert!(
        matches!(report, SpawnerReport::Launched { .. }),
        "{report:?}"
    );
    let dir = spawner.name(22);
    std::fs::create_dir(root.join(dir.as_str())).expect("mkdir");
    spawner.say(&SpawnerOrder::Clean { dir: dir.clone() });
    let error = None;
    assert_eq!(spawner.hear(), SpawnerReport::Cleaned { dir, error });
    spawner.end();
    std::fs::remove_file(link).expect("remove");
}

#[test]
fn a_spawner_that_is_left_while_it_gets_ready_leaves_nothing() {
    let root = std::env::temp_dir().join(format!("cj-spawner-{}-9", std::process::id()));
    std::fs::create_dir(&root).expect("scratch root");
    let gate = root.with_extension("gate");
    mkfifo(&gate, Mode::from_bits_truncate(0o644)).expect("mkfifo");
    let python = OwnPython::script(&format!(
        "#!/bin/sh\nread word < {}\nexec {} \"$@\"\n",
        gate.display(),
        sandbox_python().display()
    ));
    let command = Command::new(env!("CARGO_BIN_EXE_codejail"));
    let mut spawner = Spawner::begin(9, command, &root, root.clone(), python.bin.clone());
    // Opening it waits until the script has it open too.
    let open = std::fs::OpenOptions::new().write(true).open(&gate);
    let (gone, theirs) = PacketSocket::pair().expect("socketpair");
    drop((std::mem::replace(&mut spawner.socket, gone), theirs));
    std::io::Write::write_all(&mut open.expect("open"), b"go\n").expect("write");
    std::fs::remove_file(&gate).expect("remove");
    spawner.end();
}

#[test]
fn wherever_a_launch_fails_nothing_stays() {
    let spawner = Spawner::start(10);
    let uid = geteuid().is_root().then_some(UID_BASE);
    let pid = i32::try_from(spawner.process.id()).expect("a pid");
    // One descriptor more each time: it fails at one step after the other.
    let launched = (8..100).find(|descriptors| {
        support::inject::limit(pid, "--nofile", &format!("{descriptors}:"));
        let (dir, seat) = (spawner.name(20), spawner.name(21));
        let report = spawner.launch_as(WorkerId(*descriptors), dir, uid, vec![seat]);
        matches!(report, SpawnerReport::Launched { .. })
    });
    assert!(launched.is_some_and(|descriptors| descriptors > 8));
    let tag = spawner.name(0).as_str()[..TAGGED].to_owned();
    assert!(cgroups_named(&tag).len() <= 1, "{:?}", cgroups_named(&tag));
    spawner.end();
    assert_eq!(cgroups_named(&tag), Vec::<PathBuf>::new());
}

/// Cgroups of version 2 whose names start so, beside or below this process's.
fn cgroups_named(start: &str) -> Vec<PathBuf> {
    let own = cgroups::of(std::process::id().cast_signed());
    let entries = own.and_then(|own| std::fs::read_dir(own).ok());
    let entries = entries.into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(start));
    named.map(|entry| entry.path()).collect()
}

#[test]
fn directories_of_other_services_are_left_alone() {
    let spawner = Spawner::start(6);
    let foreign = ScratchName::from_random([30; 8]);
    let theirs = spawner.root.join(foreign.as_str());
    std::fs::create_dir(&theirs).expect("mkdir");
    std::fs::write(theirs.join("file"), "theirs").expect("write");
    spawner.say(&SpawnerOrder::Clean {
        dir: foreign.clone(),
    });
    let report = spawner.hear();
    let SpawnerReport::Cleaned { error, .. } = &report else {
        panic!("{report:?}");
    };
    let error = error.as_deref().unwrap_or_default();
    assert!(error.starts_with("refused: "), "{report:?}");
    let uid = geteuid().is_root().then_some(UID_BASE);
    for (dir, seat) in [
        (foreign.clone(), spawner.name(21)),
        (spawner.name(20), foreign.clone()),
    ] {
        let report = spawner.launch_as(WorkerId(1), dir, uid, vec![seat]);
        let SpawnerReport::LaunchFailed { error, .. } = &report else {
            panic!("{report:?}");
        };
        assert!(error.starts_with("refused: "), "{error}");
    }
    assert!(theirs.join("file").exists());
    std::fs::remove_dir_all(&theirs).expect("remove");
    spawner.end();
}

#[test]
fn a_launch_without_its_descriptors_is_refused() {
    let spawner = Spawner::start(2);
    spawner.say(&SpawnerOrder::Launch {
        worker: WorkerId(1),
        dir: spawner.name(20),
        uid: geteuid().is_root().then_some(UID_BASE),
        seats: vec![spawner.name(21)],
    });
    let report = spawner.hear();
    assert!(
        matches!(report, SpawnerReport::LaunchFailed { .. }),
        "{report:?}"
    );
    spawner.end();
}

#[test]
fn garbage_ends_the_spawner() {
    let mut spawner = Spawner::start(3);
    nix::sys::socket::send(
        std::os::fd::AsRawFd::as_raw_fd(&spawner.socket),
        b"garbage",
        nix::sys::socket::MsgFlags::empty(),
    )
    .expect("send");
    let status = wait_for("its end", END_MAX, || {
        spawner.process.try_wait().expect("wait")
    });
    assert_eq!(status.code(), Some(70));
    assert_eq!(entries(&spawner.root), 0);
    std::fs::remove_dir(&spawner.root).expect("remove");
}

#[test]
fn directories_are_removed_however_deep_and_closed_they_are() {
    let spawner = Spawner::start(4);
    let name = spawner.name(20);
    let top = spawner.root.join(name.as_str());
    std::fs::create_dir(&top).expect("mkdir");
    make_deep(&top, 3000);
    std::os::unix::fs::symlink("/etc", top.join("link")).expect("symlink");
    set_mode(&top.join("d"), 0);
    spawner.say(&SpawnerOrder::Clean { dir: name.clone() });
    let report = spawner.hear();
    assert_eq!(
        report,
        SpawnerReport::Cleaned {
            dir: name,
            error: None
        }
    );
    assert!(!top.exists());
    assert!(Path::new("/etc/passwd").exists());
    spawner.end();
}

/// More than a listing holds (65,536 names), so that the removal comes back to it. It takes part of a second at
/// least, in which a worker is launched.
#[test]
fn directories_are_removed_however_full_they_are_and_nobody_waits_for_it() {
    let spawner = Spawner::start(11);
    let full = spawner.name(20);
    let top = spawner.root.join(full.as_str());
    std::fs::create_dir_all(top.join("d")).expect("mkdir");
    for number in 0..70_000 {
        std::fs::File::create(top.join(format!("d/{number}"))).expect("file");
    }
    spawner.say(&SpawnerOrder::Clean { dir: full.clone() });
    let out_of_the_way = SpawnerReport::Cleaned {
        dir: full.clone(),
        error: None,
    };
    assert_eq!(spawner.hear(), out_of_the_way);
    assert!(!top.exists());
    let uid = geteuid().is_root().then_some(UID_BASE);
    let seats = vec![spawner.name(23)];
    let report = spawner.launch_as(WorkerId(1), spawner.name(22), uid, seats);
    assert!(
        matches!(report, SpawnerReport::Launched { .. }),
        "{report:?}"
    );
    let rest = spawner
        .root
        .join(spawner.name(0).as_str())
        .join(full.as_str());
    assert!(rest.exists(), "the launch took longer than the removal");
    spawner.end();
}

/// Nested directories, each with a file, deeper than any path can name.
fn make_deep(top: &Path, levels: usize) {
    use nix::fcntl::{open, openat};
    use nix::sys::stat::mkdirat;
    let directory = OFlag::O_DIRECTORY;
    let mut at = open(top, directory, Mode::empty()).expect("open");
    for _ in 0..levels {
        mkdirat(&at, "d", Mode::S_IRWXU).expect("mkdirat");
        at = openat(&at, "d", directory, Mode::empty()).expect("openat");
        let file = OFlag::O_CREAT | OFlag::O_WRONLY;
        openat(&at, "file", file, Mode::S_IRUSR).expect("file");
    }
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("chmod");
}
