//! Starts one worker: prepares all that its first moments need, clones, and hears how it went.

use super::apparmor::AppArmor;
use super::become_worker::{self, Plan, STEPS};
use codejail_protocol::ScratchName;
use codejail_protocol::control::LayerMode;
use codejail_protocol::spawn::{FoundAppArmor, SpawnerConfig};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::wait::waitpid;
use nix::unistd::{AccessFlags, Pid, access, getegid, geteuid, pipe2, read, write};
use std::ffi::CString;
use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

const BOOTSTRAP: &str = include_str!("bootstrap.py");

/// Namespaces of a worker, clone(2).
const NAMESPACES: i32 = libc::CLONE_NEWPID
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS;

/// Why a worker could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The supervisor asked for what it may not have.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// A file or directory that a launch needs.
    #[error("{0}: {1}")]
    File(String, #[source] io::Error),
    /// A path or variable that holds a zero byte.
    #[error("{0:?} holds a zero byte")]
    ZeroByte(String),
    /// The clone itself, or preparing it.
    #[error("{0}: {1}")]
    System(&'static str, #[source] Errno),
    /// The new process failed before it became Python.
    #[error("in the new process: {0}: {1}")]
    Child(&'static str, #[source] Errno),
    /// The layer is required and this host does not give it.
    #[error(
        "layers.namespaces is required, but this host gives none ({0}): start the service as root \
         with CAP_SYS_ADMIN, allow user namespaces (sysctl user.max_user_namespaces, and on Ubuntu \
         kernel.apparmor_restrict_unprivileged_userns=0), or set layers.namespaces = \"auto\""
    )]
    NoNamespaces(Errno),
    /// The layer is required and not enforced here.
    #[error(
        "layers.apparmor is required, but {0}. Or set layers.apparmor = \"auto\" (docs/apparmor.md)"
    )]
    NoAppArmor(String),
}

impl LaunchError {
    /// Whether the directory that was to be made is there already, and so somebody else's.
    pub fn is_existing_directory(&self) -> bool {
        matches!(self, Self::File(_, error) if error.kind() == io::ErrorKind::AlreadyExists)
    }
}

/// A running worker.
#[derive(Debug)]
pub struct Launched {
    /// Its process.
    pub pid: Pid,
    /// The same as a descriptor: readable once it has ended, and never another process.
    pub pidfd: OwnedFd,
}

/// What is the same for all workers.
#[derive(Debug)]
pub struct Launcher {
    python: CString,
    environment: Vec<CString>,
    module: OwnedFd,
    scratch_root: PathBuf,
    namespaces: i32,
    apparmor: AppArmor,
}

impl Launcher {
    /// Opens and checks what launches will need, and finds out which namespaces can be had.
    ///
    /// # Errors
    /// The module cannot be opened, or a required layer is missing.
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
        Ok(Self {
            python: c_string(config.python_bin.as_os_str().as_bytes())?,
            environment: variables
                .map(|variable| c_string(variable.as_bytes()))
                .collect::<Result<_, _>>()?,
            module: OwnedFd::from(module),
            scratch_root: config.scratch_root.clone(),
            namespaces: find_namespaces(config.namespaces)?,
            apparmor: AppArmor::find(config.apparmor).map_err(LaunchError::NoAppArmor)?,
        })
    }

    /// What there is of AppArmor.
    pub fn apparmor(&self) -> &FoundAppArmor {
        &self.apparmor.found
    }

    /// Whether workers get namespaces of their own.
    pub fn namespaces(&self) -> bool {
        self.namespaces != 0
    }

    /// Starts a worker in a new directory `dir`, as user `uid`.
    pub fn launch(
        &self,
        dir: &ScratchName,
        uid: Option<u32>,
        control: OwnedFd,
        log: OwnedFd,
    ) -> Result<Launched, LaunchError> {
        let path = self.scratch_root.join(dir.as_str());
        make_directory(&path, uid)
            .map_err(|error| LaunchError::File(path.display().to_string(), error))?;
        let (go_read, go_write) = pipe2(OFlag::O_CLOEXEC).map_err(system("pipe"))?;
        let (failed_read, failed_write) = pipe2(OFlag::O_CLOEXEC).map_err(system("pipe"))?;
        let plan = Plan::new(
            &self.python,
            &self.environment,
            c_string(path.as_os_str().as_bytes())?,
            uid,
            self.apparmor.on_exec.as_deref(),
            [&go_read, &log, &control, &self.module],
            &failed_write,
        );
        let Some(launched) = clone(self.namespaces)? else {
            // The child: from here to exec only system calls.
            become_worker::run(&plan);
        };
        drop((failed_write, go_read));
        match self.release(&launched, go_write, &failed_read) {
            Ok(()) => Ok(launched),
            Err(error) => {
                launched.kill().map_err(system("kill"))?;
                waitpid(launched.pid, None).map_err(system("waitpid"))?;
                Err(error)
            }
        }
    }

    /// Lets the child go on once its user is mapped, and hears whether it became Python.
    fn release(
        &self,
        launched: &Launched,
        go: OwnedFd,
        failed: &OwnedFd,
    ) -> Result<(), LaunchError> {
        if self.namespaces & libc::CLONE_NEWUSER != 0 {
            map_own_user(launched.pid)?;
        }
        write(&go, b"!").map_err(system("release"))?;
        drop(go);
        heard_from_child(failed)
    }
}

impl Launched {
    /// SIGKILL by descriptor, pidfd_send_signal(2), so that it never hits a reused pid.
    pub fn kill(&self) -> Result<(), Errno> {
        // SAFETY: no pointer is passed but a null one, which the call allows.
        let result = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd(),
                libc::SIGKILL,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        match Errno::result(result) {
            Ok(_) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

/// The worker's own directory: its script, which Python must be able to read as any user, and a
/// `tmp` of its own for what libraries write while they are imported.
fn make_directory(path: &Path, uid: Option<u32>) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)?;
    let mut file = File::create_new(path.join("jailed_code"))?;
    file.write_all(BOOTSTRAP.as_bytes())?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    let tmp = path.join("tmp");
    DirBuilder::new().mode(0o700).create(&tmp)?;
    std::os::unix::fs::chown(&tmp, uid, uid)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o755))
}

/// Which namespaces a clone gets here: tried out once, with a child that ends at once.
fn find_namespaces(mode: LayerMode) -> Result<i32, LaunchError> {
    let wanted = if geteuid().is_root() {
        NAMESPACES
    } else {
        NAMESPACES | libc::CLONE_NEWUSER
    };
    if mode == LayerMode::Off {
        return Ok(0);
    }
    match clone(wanted) {
        // SAFETY: the child of the trial does nothing but end.
        Ok(None) => unsafe { libc::_exit(0) },
        Ok(Some(launched)) => {
            waitpid(launched.pid, None).map_err(system("waitpid"))?;
            Ok(wanted)
        }
        // What a host says that does not give them. Anything else (no memory, no process) may pass.
        Err(LaunchError::System(
            _,
            Errno::EPERM | Errno::ENOSYS | Errno::EINVAL | Errno::ENOSPC | Errno::EUSERS,
        )) if mode == LayerMode::Auto => Ok(0),
        Err(LaunchError::System(_, errno)) if mode == LayerMode::Require => {
            Err(LaunchError::NoNamespaces(errno))
        }
        Err(error) => Err(error),
    }
}

/// Like fork, but into namespaces and with a pidfd; none in the child. clone3(2), or clone(2) where a
/// container's own filter answers ENOSYS to that.
fn clone(namespaces: i32) -> Result<Option<Launched>, LaunchError> {
    let mut pidfd: i32 = -1;
    let pid = match clone3(namespaces, &mut pidfd) {
        Err(Errno::ENOSYS) => legacy_clone(namespaces, &mut pidfd),
        result => result,
    };
    match pid.map_err(system("clone"))? {
        0 => Ok(None),
        pid => Ok(Some(Launched {
            pid: Pid::from_raw(
                i32::try_from(pid).map_err(|_| LaunchError::Refused("a pid over 2^31"))?,
            ),
            // SAFETY: CLONE_PIDFD has put a new descriptor there, and it is ours.
            pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
        })),
    }
}

fn clone3(namespaces: i32, pidfd: &mut i32) -> Result<libc::c_long, Errno> {
    // SAFETY: an all-zero clone_args asks for nothing.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = u64::from((namespaces | libc::CLONE_PIDFD).cast_unsigned());
    args.pidfd = (&raw mut *pidfd).addr() as u64;
    args.exit_signal = libc::SIGCHLD.cast_unsigned().into();
    // SAFETY: args lives through the call; without CLONE_VM the child has its own memory, and it only
    // makes system calls until it becomes another program or ends.
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const args,
            size_of::<libc::clone_args>(),
        )
    };
    Errno::result(result)
}

/// The descriptor comes in the place of the parent's tid, third on x86_64 and aarch64 alike.
fn legacy_clone(namespaces: i32, pidfd: &mut i32) -> Result<libc::c_long, Errno> {
    let flags = (namespaces | libc::CLONE_PIDFD | libc::SIGCHLD).cast_unsigned();
    // SAFETY: as for clone3; a null stack means the parent's, copied.
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone,
            libc::c_ulong::from(flags),
            0,
            &raw mut *pidfd,
            0,
            0,
        )
    };
    Errno::result(result)
}

/// Not root: inside its user namespace the worker is the same user as outside, and nobody else
/// exists (user_namespaces(7)).
fn map_own_user(pid: Pid) -> Result<(), LaunchError> {
    let (uid, gid) = (geteuid(), getegid());
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{uid} {uid} 1")),
        ("gid_map", format!("{gid} {gid} 1")),
    ] {
        let path = format!("/proc/{pid}/{file}");
        std::fs::write(&path, text).map_err(|error| LaunchError::File(path, error))?;
    }
    Ok(())
}

/// The child's end of this pipe closes when it becomes Python; before that it can say what failed.
fn heard_from_child(failed: &OwnedFd) -> Result<(), LaunchError> {
    let mut message = [0; 8];
    match read(failed, &mut message).map_err(system("hear from the child"))? {
        0 => Ok(()),
        8 => {
            let [step @ .., _, _, _, _] = message;
            let [_, _, _, _, errno @ ..] = message;
            let step = STEPS.get(i32::from_ne_bytes(step).unsigned_abs() as usize);
            let errno = Errno::from_raw(i32::from_ne_bytes(errno));
            Err(LaunchError::Child(step.unwrap_or(&"unknown step"), errno))
        }
        _ => Err(LaunchError::Refused("a cut message from the new process")),
    }
}

fn c_string(bytes: &[u8]) -> Result<CString, LaunchError> {
    CString::new(bytes)
        .map_err(|_| LaunchError::ZeroByte(String::from_utf8_lossy(bytes).into_owned()))
}

fn system(what: &'static str) -> impl FnOnce(Errno) -> LaunchError {
    move |errno| LaunchError::System(what, errno)
}
