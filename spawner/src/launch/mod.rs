//! Starts one worker: prepares all that its process needs in its first moments, clones, and waits
//! for the result.

mod furnish;
mod seats;

use crate::child::become_worker;
use crate::child::exec_plan::{ChildDescriptors, ExecPlan};
use crate::child::failure::hear;
use crate::error::{LaunchError, system};
use crate::host::HostLayers;
use crate::host::capabilities;
use crate::host::cgroup::WorkerCgroup;
use crate::host::claim::Claims;
use crate::host::reach::what_keeps_out;
use crate::paths::{c_path, c_string};
use crate::policy::LaunchRequest;
use crate::sys::clone::{Cloned, clone};
use crate::sys::process::CStringArray;
use codejail_protocol::environment;
use codejail_protocol::spawn::{SpawnerConfig, SpawnerReport, WorkerBounds, WorkerId};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::wait::waitpid;
use nix::unistd::{AccessFlags, access, pipe2, write};
use seats::Seats;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A worker that was started and is not reaped yet.
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
    /// Kills the worker and its sandboxes.
    ///
    /// # Errors
    /// The kernel refuses, for which there is no known reason.
    pub fn kill(&self) -> Result<(), Errno> {
        if let Some(cgroup) = &self.cgroup {
            cgroup.kill();
        }
        self.process.kill()
    }

    /// Takes back a launch that failed half-way.
    fn undo(&self) -> Result<(), LaunchError> {
        self.kill().map_err(system("kill"))?;
        waitpid(self.process.pid, None).map_err(system("waitpid"))?;
        if let Some(cgroup) = &self.cgroup {
            cgroup.remove();
        }
        Ok(())
    }
}

/// The things that are the same for all workers.
#[derive(Debug)]
pub struct Launcher {
    config: SpawnerConfig,
    python: CString,
    environment: Vec<CString>,
    module: OwnedFd,
    host: HostLayers,
    claims: Claims,
}

impl Launcher {
    /// Opens and checks what launches will need, and finds out which layers this host gives. Must
    /// run while this process has one thread.
    ///
    /// # Errors
    /// The module can't be opened, the interpreter can't be executed, or a required layer is
    /// missing.
    pub fn new(config: &SpawnerConfig) -> Result<Self, LaunchError> {
        // The claims come first: every later step may leave something that is named by these uids.
        let claims = Claims::make(config)?;
        let module = File::open(&config.worker_module).map_err(|error| {
            LaunchError::File(config.worker_module.display().to_string(), error)
        })?;
        access(&config.python_bin, AccessFlags::X_OK).map_err(|errno| {
            let key = format!("python.bin = {:?}", config.python_bin);
            LaunchError::File(key, io::Error::from(errno))
        })?;
        let variables = environment::for_start(&config.env, config.hash_seed);
        let variables = variables
            .iter()
            .map(|(name, value)| c_string(format!("{name}={value}").as_bytes()));
        Ok(Self {
            python: c_path(&config.python_bin)?,
            environment: variables.collect::<Result<_, _>>()?,
            module: OwnedFd::from(module),
            host: HostLayers::find(config)?,
            claims,
            config: config.clone(),
        })
    }

    /// The report to the supervisor of what this host gives.
    pub fn configured(&self) -> SpawnerReport {
        SpawnerReport::Configured {
            layers: self.host.states.clone(),
            seats: self.has_seats(),
            user_namespaces: self.host.users.is_some(),
            cgroup_bounds: self
                .host
                .cgroups
                .as_ref()
                .is_some_and(|cgroups| cgroups.controllers),
            warnings: self
                .claims
                .warning()
                .into_iter()
                .chain(capabilities::warnings())
                .collect(),
            apparmor: self.host.apparmor.found.clone(),
        }
    }

    /// Sets the bounds of the workers that are launched from now on.
    pub fn bound(&mut self, bounds: WorkerBounds) {
        self.config.bounds = bounds;
    }

    /// Whether workers have PID namespaces, so that a worker's end kills its sandboxes.
    pub fn has_pid_namespaces(&self) -> bool {
        self.host.namespaces.flags & libc::CLONE_NEWPID != 0
    }

    /// The directory of the service's cgroup, which also holds those of dead services; none without
    /// the layer.
    pub fn cgroup_base(&self) -> Option<PathBuf> {
        let cgroups = self.host.cgroups.as_ref();
        cgroups.map(|cgroups| cgroups.base().to_owned())
    }

    /// Whether sandboxes have seats.
    pub fn has_seats(&self) -> bool {
        self.host.root.is_some()
    }

    /// Starts a worker with this control socket and this pipe for its log.
    ///
    /// # Errors
    /// A step of the launch fails. Then no process and no cgroup of the worker is left; its
    /// directory may be there.
    pub fn launch(
        &self,
        request: LaunchRequest,
        [control, log]: [OwnedFd; 2],
    ) -> Result<Launched, LaunchError> {
        let (worker, uid) = (request.worker, request.uid);
        let directory = self.config.scratch_root.join(request.dir.as_str());
        let seats = self.furnish(&directory, request)?;
        let root = match (&self.host.root, &seats) {
            (Some(plan), Some(seats)) => Some(plan.make(seats.mounts(), uid)?),
            _ => None,
        };
        let (input, go) = pipe2(OFlag::O_CLOEXEC).map_err(system("pipe"))?;
        let (hears, failed) = pipe2(OFlag::O_CLOEXEC).map_err(system("pipe"))?;
        let descriptors = ChildDescriptors {
            input,
            input_writer: go.as_raw_fd(),
            log,
            control,
            module: self
                .module
                .try_clone()
                .map_err(|error| LaunchError::File("the worker module".to_owned(), error))?,
            failed,
        };
        // Without -E, which would hide the hash seed from Python. The worker makes Python look as
        // if it had been started with -E.
        let arguments = [&self.python, c"-B", c"jailed_code"];
        let mut plan = ExecPlan {
            python: &self.python,
            arguments: CStringArray::new(arguments.into_iter()),
            environment: CStringArray::new(self.environment.iter().map(CString::as_c_str)),
            directory: c_path(&directory)?,
            uid,
            descriptors: descriptors.out_of_the_way().map_err(system("fcntl"))?,
            apparmor: self.host.apparmor.on_exec.as_deref(),
            users: self.host.users.as_ref(),
            closes_ipc: self.host.namespaces.closes_ipc,
            root,
        };
        let (process, cgroup) = self.clone_into_cgroup(worker, &mut plan)?;
        // The plan holds this process's copy of the other end of the pipe for failures. Without it
        // the pipe ends when the new process closes that end.
        drop(plan);
        let launched = Launched {
            process,
            seats,
            cgroup,
        };
        match self.release(&launched, go, &hears) {
            Ok(()) => Ok(launched),
            Err(error) => {
                launched.undo()?;
                Err(self.explained(error, uid))
            }
        }
    }

    /// Makes the worker's directory, and its seats where workers have roots.
    fn furnish(
        &self,
        directory: &Path,
        request: LaunchRequest,
    ) -> Result<Option<Seats>, LaunchError> {
        let LaunchRequest {
            dir, uid, seats, ..
        } = request;
        match &self.host.root {
            Some(_) => furnish::seats(&self.config, dir, seats, uid).map(Some),
            None => furnish::directory(directory, uid).map(|()| None),
        }
    }

    /// Clones the new process, which waits until [`Self::release`], and makes its cgroup.
    fn clone_into_cgroup(
        &self,
        worker: WorkerId,
        plan: &mut ExecPlan<'_>,
    ) -> Result<(Cloned, Option<WorkerCgroup>), LaunchError> {
        let cgroups = self.host.cgroups.as_ref();
        let cgroup = cgroups
            .map(|cgroups| cgroups.for_worker(worker, self.config.bounds.cgroup))
            .transpose()
            .map_err(|error| LaunchError::File("a cgroup".to_owned(), error))?;
        match clone(self.host.namespaces.flags, || become_worker::run(plan)) {
            Ok(process) => Ok((process, cgroup)),
            Err(errno) => {
                if let Some(cgroup) = &cgroup {
                    cgroup.remove();
                }
                Err(LaunchError::System("clone", errno))
            }
        }
    }

    /// Adds the reason to a refusal to execute Python, where the path to the interpreter shows it.
    fn explained(&self, error: LaunchError, uid: Option<u32>) -> LaunchError {
        let LaunchError::Child(step, Errno::EACCES) = &error else {
            return error;
        };
        match uid.and_then(|uid| what_keeps_out(&self.config.python_bin, uid)) {
            Some(why) => LaunchError::Child(format!("{step}: {why}"), Errno::EACCES),
            None => error,
        }
    }

    /// Puts the new process into its cgroup, lets it go on, and hears whether it became Python.
    fn release(
        &self,
        launched: &Launched,
        go: OwnedFd,
        hears: &OwnedFd,
    ) -> Result<(), LaunchError> {
        if let Some(cgroup) = &launched.cgroup {
            let entered = cgroup.enter(launched.process.pid);
            entered.map_err(|error| LaunchError::File("its cgroup".to_owned(), error))?;
        }
        write(&go, b"!").map_err(system("release"))?;
        drop(go);
        hear(hears, self.host.root.as_ref())
    }

    /// Removes everything that the launcher has made on this host. All workers must be gone.
    pub fn end(self) {
        if let Some(cgroups) = self.host.cgroups {
            cgroups.remove();
        }
    }
}
