//! Starts one worker: prepares all that its first moments need, clones, and hears how it went.

mod become_worker;
mod root;
mod root_paths;
mod seats;

use self::become_worker::{Plan, Surroundings};
use crate::clone::{Cloned, clone};
use crate::error::{LaunchError, c_string, system};
use crate::host::apparmor::{self, AppArmor};
use crate::host::cgroup::{Cgroups, WorkerCgroup};
use crate::host::namespaces::{self, Namespaces};
use crate::host::python_paths;
use codejail_protocol::ScratchName;
use codejail_protocol::control::{LayerMode, LayerState};
use codejail_protocol::spawn::{FoundAppArmor, SpawnerConfig, WorkerBounds, WorkerId};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::sys::wait::waitpid;
use nix::unistd::{AccessFlags, Gid, Uid, access, fchownat, pipe2, read, write};
use root::RootPlan;
use seats::Seats;
use std::ffi::CString;
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

const BOOTSTRAP: &str = include_str!("bootstrap.py");

/// The layer of a worker's own root and its sandboxes' file systems.
const MOUNTS: &str = "mounts";
const MOUNTS_REMEDY: &str = "it takes Linux 5.12, the right to mount, and a /proc that a container \
     has not covered in part";

/// A running worker.
#[derive(Debug)]
pub struct Launched {
    /// Its process.
    pub process: Cloned,
    /// Its file systems, where it has a root of its own.
    pub seats: Option<Seats>,
    /// Its cgroup, where there are any.
    pub cgroup: Option<WorkerCgroup>,
}

impl Launched {
    /// Kills it and its sandboxes.
    ///
    /// # Errors
    /// The kernel refuses, which it has no reason to.
    pub fn kill(&self) -> Result<(), Errno> {
        if let Some(cgroup) = &self.cgroup {
            cgroup.kill();
        }
        self.process.kill()
    }
}

/// Which worker to start.
#[derive(Debug)]
pub struct Order {
    /// Its number.
    pub worker: WorkerId,
    /// Its directory.
    pub dir: ScratchName,
    /// Its user.
    pub uid: Option<u32>,
    /// Its sandboxes' directories, where they have file systems of their own.
    pub seats: Vec<ScratchName>,
    /// Control socket and log pipe.
    pub descriptors: [OwnedFd; 2],
}

/// What is the same for all workers.
#[derive(Debug)]
pub struct Launcher {
    config: SpawnerConfig,
    python: CString,
    environment: Vec<CString>,
    module: OwnedFd,
    namespaces: Namespaces,
    root: Option<RootPlan>,
    cgroups: Option<Cgroups>,
    layers: Vec<LayerState>,
    apparmor: AppArmor,
}

impl Launcher {
    /// Opens and checks what launches will need, and finds out which layers can be had. Must run while
    /// this process has one thread.
    ///
    /// # Errors
    /// The module cannot be opened, Python is none, or a required layer is missing.
    pub fn new(config: &SpawnerConfig) -> Result<Self, LaunchError> {
        let module = File::open(&config.worker_module).map_err(|error| {
            LaunchError::File(config.worker_module.display().to_string(), error)
        })?;
        access(&config.python_bin, AccessFlags::X_OK).map_err(|errno| {
            let key = format!("python.bin = {:?}", config.python_bin);
            LaunchError::File(key, io::Error::from(errno))
        })?;
        let variables = config
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let wanted = [config.layers.namespaces, config.layers.mounts];
        if wanted != [LayerMode::Off; 2] {
            namespaces::become_own_administrator()?;
        }
        let (namespaces, namespaces_state) = namespaces::find(config.layers.namespaces)?;
        let mut launcher = Self {
            config: config.clone(),
            python: c_string(config.python_bin.as_os_str().as_bytes())?,
            environment: variables
                .map(|variable| c_string(variable.as_bytes()))
                .collect::<Result<_, _>>()?,
            module: OwnedFd::from(module),
            namespaces,
            root: None,
            cgroups: None,
            layers: vec![namespaces_state],
            apparmor: AppArmor::find(config.layers.apparmor).map_err(|flaws| {
                LaunchError::layer(apparmor::LAYER, flaws, "docs/apparmor.md says how")
            })?,
        };
        let mounts_state = launcher.find_mounts()?;
        let (cgroups, cgroup_state) = Cgroups::find(config.layers.cgroup, &config.scratch_tag)?;
        launcher.cgroups = cgroups;
        let apparmor_state = launcher.apparmor.state(config.layers.apparmor);
        launcher
            .layers
            .extend([mounts_state, cgroup_state, apparmor_state]);
        Ok(launcher)
    }

    /// Tries out whether a worker can have a root of its own.
    fn find_mounts(&mut self) -> Result<LayerState, LaunchError> {
        let mode = self.config.layers.mounts;
        if mode == LayerMode::Off {
            return Ok(LayerState::left_out(MOUNTS));
        }
        let own = python_paths::ask(&self.config)?;
        let readable = [own, self.config.read_paths.clone()].concat();
        let plan = RootPlan::new(&readable, &self.config.scratch_root)?;
        // The root's /proc is that of its own PID namespace.
        let flags = self.namespaces.flags | libc::CLONE_NEWNS | libc::CLONE_NEWPID;
        match try_root(&plan, flags) {
            Ok(()) => {
                self.root = Some(plan);
                self.namespaces.flags = flags;
                Ok(LayerState::on(
                    MOUNTS,
                    "a root with Python and its libraries for each worker, a file system for each sandbox",
                ))
            }
            Err(error) if mode == LayerMode::Auto && is_refusal(&error) => Ok(LayerState::off(
                MOUNTS,
                format!("this host gives none ({error}); {MOUNTS_REMEDY}"),
            )),
            Err(error) if is_refusal(&error) => {
                Err(LaunchError::layer(MOUNTS, error, MOUNTS_REMEDY))
            }
            Err(error) => Err(error),
        }
    }

    /// What there is of AppArmor.
    pub fn apparmor(&self) -> &FoundAppArmor {
        &self.apparmor.found
    }

    /// What became of each layer.
    pub fn layers(&self) -> Vec<LayerState> {
        self.layers.clone()
    }

    /// Whether a worker's end takes its sandboxes along.
    pub fn pid_namespaces(&self) -> bool {
        self.namespaces.flags & libc::CLONE_NEWPID != 0
    }

    /// Whether sandboxes have seats.
    pub fn seats(&self) -> bool {
        self.root.is_some()
    }

    /// Whether a worker's cgroup bounds what it uses.
    pub fn cgroup_bounds(&self) -> bool {
        self.cgroups
            .as_ref()
            .is_some_and(|cgroups| cgroups.controllers)
    }

    /// Bounds of the workers that are launched from now on.
    pub fn bound(&mut self, bounds: WorkerBounds) {
        self.config.bounds = bounds;
    }

    /// Starts a worker.
    pub fn launch(&self, order: Order) -> Result<Launched, LaunchError> {
        let Order {
            worker,
            dir,
            uid,
            seats,
            descriptors: [control, log],
        } = order;
        let path = self.config.scratch_root.join(dir.as_str());
        let seats = match &self.root {
            Some(_) => Some(self.make_seats(dir, seats, uid)?),
            None => {
                make_directory(&path, uid)
                    .map_err(|error| LaunchError::File(path.display().to_string(), error))?;
                None
            }
        };
        let root = match (&self.root, &seats) {
            (Some(plan), Some(seats)) => Some(plan.make(seats.mounts())?),
            _ => None,
        };
        let (go_read, go_write) = pipe2(OFlag::O_CLOEXEC).map_err(system("pipe"))?;
        let (failed_read, failed_write) = pipe2(OFlag::O_CLOEXEC).map_err(system("pipe"))?;
        let mut plan = Plan::new(
            &self.python,
            &self.environment,
            c_string(path.as_os_str().as_bytes())?,
            uid,
            [&go_read, &log, &control, &self.module],
            &failed_write,
            Surroundings {
                apparmor: self.apparmor.on_exec.as_deref(),
                closes_ipc: self.namespaces.closes_ipc,
                root,
            },
        );
        let cgroup = self.cgroups.as_ref();
        let cgroup = cgroup
            .map(|cgroups| cgroups.for_worker(worker, self.config.bounds.cgroup))
            .transpose()
            .map_err(|error| LaunchError::File("a cgroup".to_owned(), error))?;
        let cloned = clone(self.namespaces.flags).inspect_err(|_| {
            if let Some(cgroup) = &cgroup {
                cgroup.remove();
            }
        })?;
        let Some(process) = cloned else {
            // The child: from here to exec only system calls.
            become_worker::run(&mut plan);
        };
        drop((plan, failed_write, go_read));
        let launched = Launched {
            process,
            seats,
            cgroup,
        };
        match self.release(&launched, go_write, &failed_read) {
            Ok(()) => Ok(launched),
            Err(error) => {
                launched.kill().map_err(system("kill"))?;
                waitpid(launched.process.pid, None).map_err(system("waitpid"))?;
                if let Some(cgroup) = &launched.cgroup {
                    cgroup.remove();
                }
                Err(error)
            }
        }
    }

    fn make_seats(
        &self,
        dir: ScratchName,
        names: Vec<ScratchName>,
        uid: Option<u32>,
    ) -> Result<Seats, LaunchError> {
        let seats = Seats::make(&self.config, dir, names, uid)?;
        let (name, home) = &seats.home;
        furnish(home, uid)
            .map_err(|errno| LaunchError::File(name.to_string(), io::Error::from(errno)))?;
        Ok(seats)
    }

    /// Lets the child go on once it is where it belongs, and hears whether it became Python.
    fn release(
        &self,
        launched: &Launched,
        go: OwnedFd,
        failed: &OwnedFd,
    ) -> Result<(), LaunchError> {
        if let Some(cgroup) = &launched.cgroup {
            let entered = cgroup.enter(launched.process.pid);
            entered.map_err(|error| LaunchError::File("its cgroup".to_owned(), error))?;
        }
        write(&go, b"!").map_err(system("release"))?;
        drop(go);
        heard_from_child(failed, self.root.as_ref())
    }

    /// The last worker is gone: so goes what the launcher has made.
    pub fn end(self) {
        if let Some(cgroups) = self.cgroups {
            cgroups.remove();
        }
    }
}

/// A worker's directory on the host's own file system.
fn make_directory(path: &Path, uid: Option<u32>) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)?;
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let directory = openat(AT_FDCWD, path, flags, Mode::empty())?;
    furnish(&directory, uid)?;
    Ok(fchmod(&directory, Mode::from_bits_truncate(0o755))?)
}

/// What is in a worker's directory: its script, which Python must be able to read as any user, and a
/// `tmp` of its own for what libraries write while they are imported.
fn furnish(directory: &OwnedFd, uid: Option<u32>) -> Result<(), Errno> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let script = openat(
        directory,
        "jailed_code",
        flags,
        Mode::from_bits_truncate(0o600),
    )?;
    fchmod(&script, Mode::from_bits_truncate(0o644))?;
    File::from(script)
        .write_all(BOOTSTRAP.as_bytes())
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    mkdirat(directory, "tmp", Mode::S_IRWXU)?;
    let (user, group) = (uid.map(Uid::from_raw), uid.map(Gid::from_raw));
    let flags = nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW;
    fchownat(directory, "tmp", user, group, flags)
}

/// Makes a root and has a child enter it and end.
fn try_root(plan: &RootPlan, flags: i32) -> Result<(), LaunchError> {
    let mut root = plan.make(std::iter::empty::<(RawFd, &str)>())?;
    let (read_end, write_end) = pipe2(OFlag::O_CLOEXEC).map_err(system("pipe"))?;
    let Some(child) = clone(flags)? else {
        become_worker::try_root(&mut root, &write_end);
    };
    drop((root, write_end));
    let heard = heard_from_child(&read_end, Some(plan));
    waitpid(child.pid, None).map_err(system("waitpid"))?;
    heard
}

fn is_refusal(error: &LaunchError) -> bool {
    match error {
        LaunchError::System(_, errno) | LaunchError::Child(_, errno) => {
            namespaces::is_refusal(*errno)
        }
        _ => false,
    }
}

/// The child's end of this pipe closes when it becomes Python; before that it can say what failed.
fn heard_from_child(failed: &OwnedFd, root: Option<&RootPlan>) -> Result<(), LaunchError> {
    let mut message = [0; become_worker::FAILURE_BYTES];
    match read(failed, &mut message).map_err(system("hear from the child"))? {
        0 => Ok(()),
        become_worker::FAILURE_BYTES => {
            let failure = become_worker::Failure::from_bytes(message);
            let place = root.map(|root| root.place(failure.place));
            Err(LaunchError::Child(failure.step(place), failure.errno))
        }
        _ => Err(LaunchError::Refused("a cut message from the new process")),
    }
}
