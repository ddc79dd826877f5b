//! The spawner keeps its bounds, whatever the supervisor has become. In these tests the test is the
//! supervisor.

mod bounds;
mod dead_services;
mod ends;
mod leftovers;

use codejail_harness::binary::codejail;
use codejail_harness::dir::TestDir;
use codejail_harness::python::sandbox_python;
use codejail_harness::root::is_root;
use codejail_harness::uids::UidRange;
use codejail_harness::wait::{END_MAX, wait_for};
use codejail_protocol::ScratchName;
use codejail_protocol::control::LayerMode;
use codejail_protocol::spawn::{
    CgroupLimits, SaidLevel, SpawnerConfig, SpawnerLayers, SpawnerReport, SpawnerRequest,
    WorkerBounds, WorkerId,
};
use codejail_transport::PacketSocket;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{pipe2, write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

/// Enough for five workers, each with as many seats.
const UIDS: u32 = 5 * 199;

/// A spawner whose supervisor is the test.
struct Spawner {
    process: Child,
    socket: PacketSocket,
    root: TestDir,
    uids: UidRange,
    tag: [u8; 4],
    /// The workers print to this: a full pipe. So a worker stays, since it can't print that its
    /// module is no module.
    log: (OwnedFd, OwnedFd),
}

impl Spawner {
    fn start(tag: u8) -> Self {
        Self::start_with(tag, Command::new(codejail()))
    }

    fn start_with(tag: u8, command: Command) -> Self {
        let root = TestDir::new("spawner");
        let named = root.to_path_buf();
        let spawner = Self::begin(tag, command, root, named, sandbox_python());
        assert!(matches!(spawner.hear(), SpawnerReport::Configured { .. }));
        spawner
    }

    /// A spawner that gets its configuration. It makes everything below `root`; the configuration
    /// has `named` as the path of `root`.
    fn begin(
        tag: u8,
        command: Command,
        root: TestDir,
        named: PathBuf,
        python_bin: PathBuf,
    ) -> Self {
        Self::begin_with(tag, command, root, named, python_bin, LayerMode::Auto)
    }

    /// The same, with all layers of the spawner in this mode.
    fn begin_with(
        tag: u8,
        mut command: Command,
        root: TestDir,
        named: PathBuf,
        python_bin: PathBuf,
        layers: LayerMode,
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
            root,
            uids: UidRange::take(),
            tag: tag_bytes(tag),
            log: full_pipe(),
        };
        spawner.say(&SpawnerRequest::Configure(SpawnerConfig {
            python_bin,
            // Any file will do: no worker gets far enough to load it.
            worker_module: PathBuf::from("/etc/passwd"),
            env: Vec::new(),
            hash_seed: None,
            scratch_root: named,
            scratch_tag: spawner.name(0),
            uid_base: spawner.uids.uid_base(),
            uid_count: UIDS,
            uids_per_worker: UIDS / 5,
            shares_uids: false,
            // The places of the interpreter's own libraries.
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
                namespaces: layers,
                mounts: layers,
                cgroup: layers,
                apparmor: layers,
            },
        }));
        spawner
    }

    fn say(&self, order: &SpawnerRequest) {
        self.socket.send(order, &[]).expect("send");
    }

    /// The uid of this number within the range; `None` if the test is not root, since a worker then
    /// has no uid of its own.
    fn uid(&self, number: u32) -> Option<u32> {
        is_root().then_some(self.uids.uid_base() + number)
    }

    /// The next report, except reports about directories that were removed, and messages for the
    /// operator.
    fn hear(&self) -> SpawnerReport {
        loop {
            let packet = self.socket.receive().expect("receive");
            match packet.expect("the spawner is gone") {
                SpawnerReport::Removed { error: None, .. } | SpawnerReport::Said { .. } => {}
                report => return report,
            }
        }
    }

    /// A name with this service's tag.
    fn name(&self, number: u8) -> ScratchName {
        let [a, b, c, d] = self.tag;
        // A name has 37 different characters.
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
        let order = SpawnerRequest::Launch {
            worker,
            dir,
            uid,
            seats,
        };
        let descriptors = [control.as_fd(), self.log.1.as_fd()];
        self.socket.send(&order, &descriptors).expect("send");
        self.hear()
    }

    /// The next message of the spawner for the operator. Reports before it are dropped.
    fn hear_said(&self) -> (SaidLevel, String) {
        let deadline = Instant::now() + END_MAX;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).expect("a time");
            let mut polled = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            assert_eq!(poll(&mut polled, timeout), Ok(1), "it says nothing");
            let report = self.socket.receive().expect("receive");
            if let SpawnerReport::Said { level, text, .. } = report.expect("the spawner is gone") {
                return (level, text);
            }
        }
    }

    /// Kills the spawner (`kill -9`). Returns the directory with what it has left.
    fn kill(mut self) -> TestDir {
        self.process.kill().expect("kill");
        self.process.wait().expect("wait");
        self.root
    }

    fn wait(&mut self) -> ExitStatus {
        wait_for("its end", END_MAX, || {
            self.process.try_wait().expect("wait")
        })
    }

    /// Closes the socket. Returns how the spawner ends then, and its directory.
    fn leave(mut self) -> (ExitStatus, TestDir) {
        let (gone, _theirs) = PacketSocket::pair().expect("socketpair");
        drop(std::mem::replace(&mut self.socket, gone));
        (self.wait(), self.root)
    }

    /// Closes the socket. The spawner must end well and leave nothing.
    fn end(self) {
        let (status, root) = self.leave();
        assert!(status.success(), "{status}");
        assert_eq!(entries(&root), 0);
    }
}

#[track_caller]
fn assert_launched(report: &SpawnerReport) {
    let launched = matches!(report, SpawnerReport::Launched { .. });
    assert!(launched, "{report:?}");
}

#[track_caller]
fn assert_refused(report: &SpawnerReport) {
    let error = match report {
        SpawnerReport::LaunchFailed { error, .. } => Some(error.as_str()),
        SpawnerReport::Cleaned { error, .. } => error.as_deref(),
        _ => None,
    };
    assert!(
        error.is_some_and(|error| error.starts_with("refused: ")),
        "{report:?}"
    );
}

/// The tag of one test's service, in one process of tests: its cgroup has this name on the whole
/// host.
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
