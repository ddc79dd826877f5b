//! The cgroup layer: a cgroup of version 2 for each worker, where the service's own is delegated.
//!
//! It bounds what a worker and its sandboxes use together, and it kills all of them at once, also
//! where no PID namespace does (cgroups(7), Documentation/admin-guide/cgroup-v2.rst).

use super::container;
use crate::error::LaunchError;
use crate::paths::c_path;
use crate::say;
use crate::sys::file;
use codejail_protocol::ScratchName;
use codejail_protocol::control::{LayerMode, LayerState};
use codejail_protocol::spawn::{CgroupLimits, WorkerId};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{Pid, geteuid, getpid, getppid};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const LAYER: &str = "cgroup";
const CONTROLLERS: [&str; 2] = ["memory", "pids"];
const REMEDY: &str =
    "run the service with a cgroup v2 of its own to manage (systemd: Delegate=yes)";

/// The mark of a service's part: an attribute that the service sets while it holds the lock. The
/// lock of a part without this mark does not tell whether the service lives.
const MARK: &std::ffi::CStr = c"user.codejail";
/// Most entries of the service's own cgroup that are searched for parts of dead services.
const LEFTOVERS_MAX: usize = 10_000;

/// The service's own part of the cgroup tree.
#[derive(Debug)]
pub struct Cgroups {
    group: PathBuf,
    /// Held until this service ends, however it ends. No other program has the descriptor.
    _lock: Option<Flock<File>>,
    /// Whether the host hands down the controllers memory and pids. Without them a worker's cgroup
    /// has no bounds.
    pub controllers: bool,
}

/// One worker's cgroup.
#[derive(Debug)]
pub struct WorkerCgroup(PathBuf);

impl Cgroups {
    /// Makes the service's part, named by its tag, where this host allows that.
    ///
    /// # Errors
    /// The layer is required, and the host does not give all of it.
    pub fn find(
        mode: LayerMode,
        tag: &ScratchName,
    ) -> Result<(Option<Self>, LayerState), LaunchError> {
        if mode == LayerMode::Off {
            return Ok((None, LayerState::left_out(LAYER)));
        }
        let missing = match Self::make(tag) {
            Ok(cgroups) if cgroups.controllers || mode == LayerMode::Auto => {
                let state = LayerState::on(LAYER, cgroups.got());
                return Ok((Some(cgroups), state));
            }
            Ok(cgroups) => {
                cgroups.remove();
                "no memory and pids controllers".to_owned()
            }
            Err(error) => error.to_string(),
        };
        let remedy = container::remedy(LAYER, REMEDY);
        match mode {
            LayerMode::Require => Err(LaunchError::layer(LAYER, missing, remedy)),
            _ => Ok((None, LayerState::off(LAYER, format!("{missing}; {remedy}")))),
        }
    }

    fn make(tag: &ScratchName) -> io::Result<Self> {
        let base = own_cgroup()?;
        let group = base.join(tag.as_str());
        fs::create_dir(&group)?;
        let mut cgroups = Self {
            _lock: lock_and_mark(&group),
            group,
            controllers: false,
        };
        match cgroups.take_controllers(&base) {
            Ok(controllers) => cgroups.controllers = controllers,
            Err(error) => {
                cgroups.remove();
                return Err(error);
            }
        }
        Ok(cgroups)
    }

    /// Hands the memory and pids controllers down to the workers' cgroups. False where the host has
    /// none.
    fn take_controllers(&self, base: &Path) -> io::Result<bool> {
        let offered = fs::read_to_string(base.join("cgroup.controllers"))?;
        let offered: Vec<&str> = offered.split_whitespace().collect();
        if !CONTROLLERS.iter().all(|name| offered.contains(name)) {
            return Ok(false);
        }
        let wanted = CONTROLLERS.map(|name| format!("+{name}")).join(" ");
        let enable = |cgroup: &Path| fs::write(cgroup.join("cgroup.subtree_control"), &wanted);
        if enable(base).is_err() {
            // Only a cgroup without processes of its own may hand controllers down, so this
            // service's processes move into one below.
            let service = self.group.join("service");
            fs::create_dir(&service)?;
            for pid in [getppid(), getpid()] {
                fs::write(service.join("cgroup.procs"), pid.to_string())?;
            }
            enable(base)?;
        }
        enable(&self.group)?;
        Ok(true)
    }

    /// For the operator.
    fn got(&self) -> &'static str {
        if self.controllers {
            "one for each worker"
        } else {
            "one for each worker, only to kill it; this host has no memory and pids \
             controllers in its cgroup v2"
        }
    }

    /// The cgroup that the service was started in.
    pub fn base(&self) -> &Path {
        self.group.parent().unwrap_or(&self.group)
    }

    /// A cgroup for a worker that is about to be launched.
    ///
    /// # Errors
    /// It can't be made, or takes no limit.
    pub fn for_worker(&self, worker: WorkerId, limits: CgroupLimits) -> io::Result<WorkerCgroup> {
        let path = self.group.join(format!("worker-{}", worker.0));
        fs::create_dir(&path)?;
        let cgroup = WorkerCgroup(path);
        if let Err(error) = self.set_limits(&cgroup, limits) {
            cgroup.remove();
            return Err(error);
        }
        Ok(cgroup)
    }

    fn set_limits(&self, cgroup: &WorkerCgroup, limits: CgroupLimits) -> io::Result<()> {
        if !self.controllers {
            return Ok(());
        }
        if limits.memory_bytes_max != 0 {
            cgroup.write("memory.max", &limits.memory_bytes_max.to_string())?;
            // Swapped memory counts as used too, so there is none. Kernels without swap lack the
            // file.
            match cgroup.write("memory.swap.max", "0") {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if limits.pids_max != 0 {
            cgroup.write("pids.max", &limits.pids_max.to_string())?;
        }
        Ok(())
    }

    /// Removes the service's part, once no worker is left. Where the service's processes have moved
    /// into it, they go back first. The cgroup that they came from takes processes again only when
    /// it hands no controller down.
    pub fn remove(&self) {
        let service = self.group.join("service");
        if service.exists() {
            say(&service, self.move_back(&service));
        }
        say(&self.group, fs::remove_dir(&self.group));
    }

    fn move_back(&self, service: &Path) -> io::Result<()> {
        let base = self.base();
        let withdrawn = CONTROLLERS.map(|name| format!("-{name}")).join(" ");
        for cgroup in [self.group.as_path(), base] {
            fs::write(cgroup.join("cgroup.subtree_control"), &withdrawn)?;
        }
        for pid in fs::read_to_string(service.join("cgroup.procs"))?.lines() {
            match fs::write(base.join("cgroup.procs"), pid) {
                // The process has ended meanwhile.
                Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => {}
                result => result?,
            }
        }
        fs::remove_dir(service)
    }
}

impl WorkerCgroup {
    /// Puts a process into it, and so all processes that this one will fork.
    ///
    /// # Errors
    /// There is no such process, or the kernel refuses.
    pub fn enter(&self, pid: Pid) -> io::Result<()> {
        self.write("cgroup.procs", &pid.to_string())
    }

    /// Kills all processes in it (Linux 5.14).
    pub fn kill(&self) {
        match self.write("cgroup.kill", "1") {
            // An older kernel. Here the sandboxes end only with their worker.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => say(&self.0, result),
        }
    }

    /// Whether no process is in it any more; the kernel needs seconds to end gigabytes.
    pub fn is_empty(&self) -> bool {
        match fs::read_to_string(self.0.join("cgroup.events")) {
            Ok(events) => events.contains("populated 0"),
            // Somebody else has removed it, so it was empty.
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Removes it; no process may be in it.
    pub fn remove(&self) {
        say(&self.0, fs::remove_dir(&self.0));
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        fs::write(self.0.join(file), text)
    }
}

/// Locks the service's part, then marks it. Before Linux 5.7 the kernel can't mark a cgroup; then
/// the next service leaves this part alone, whether it is locked or not.
fn lock_and_mark(group: &Path) -> Option<Flock<File>> {
    let directory = File::open(group).ok()?;
    let lock = Flock::lock(directory, FlockArg::LockExclusive).ok()?;
    file::set_attribute(&*lock, MARK, b"1").ok()?;
    Some(lock)
}

/// Removes what dead services have left in `base`: parts that are marked, and that nobody locks.
/// No process is ended: a cgroup that still has one is busy, and the next start comes back to it.
pub fn remove_leftovers(base: &Path, own: &ScratchName) {
    for entry in fs::read_dir(base)
        .into_iter()
        .flatten()
        .take(LEFTOVERS_MAX)
        .flatten()
    {
        let name = entry.file_name().into_string().ok();
        let name = name.and_then(|name| ScratchName::try_from(name).ok());
        let path = entry.path();
        if name.is_none_or(|name| !name.is_tag() || name == *own) {
            continue;
        }
        let Some(_lock) = lock_of_dead(&path) else {
            continue;
        };
        let below = fs::read_dir(&path).into_iter().flatten().flatten();
        for cgroup in below.filter(|entry| entry.path().is_dir()) {
            let _ = fs::remove_dir(cgroup.path());
        }
        if fs::remove_dir(&path).is_ok() {
            let text = format!("{} of a service that is dead is removed", path.display());
            say::info("leftovers_removed", text);
        }
    }
}

fn lock_of_dead(group: &Path) -> Option<Flock<File>> {
    let directory = File::open(group).ok()?;
    let mut value = [0];
    let marked = file::attribute(&c_path(group).ok()?, MARK, &mut value) == Ok(1);
    if !marked || directory.metadata().ok()?.uid() != geteuid().as_raw() {
        return None;
    }
    Flock::lock(directory, FlockArg::LockExclusiveNonblock).ok()
}

/// Reports an error to the operator. Nothing depends on what failed.
fn say(path: &Path, result: io::Result<()>) {
    if let Err(error) = result {
        say::warn("cgroup_stays", format!("{}: {error}", path.display()));
    }
}

/// Where this process is in the cgroup tree, if it may manage that part.
fn own_cgroup() -> io::Result<PathBuf> {
    let missing = |what: &str| io::Error::new(io::ErrorKind::NotFound, what.to_owned());
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let mut mounts = mounts.lines().filter_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        (file_system.split(' ').next() == Some("cgroup2")).then(|| mount.split(' ').nth(4))?
    });
    let mount = mounts.next().ok_or_else(|| missing("no cgroup v2"))?;
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let mut own = own.lines().filter_map(|line| line.strip_prefix("0::/"));
    let own = own.next().ok_or_else(|| missing("no cgroup v2"))?;
    let path = Path::new(mount).join(own);
    // A service manager owns every cgroup that it has not delegated. The root of a tree is
    // nobody's.
    if own.is_empty() || is_delegated(&path) {
        return Ok(path);
    }
    Err(io::Error::other("this cgroup is not delegated"))
}

/// systemd marks a cgroup that it delegates (`user.delegate`, systemd.resource-control(5)). If this
/// process is not root, it can write there only if the cgroup was delegated.
fn is_delegated(path: &Path) -> bool {
    let marked = |name| {
        let mut value = [0];
        let path = c_path(path);
        path.is_ok_and(|path| file::attribute(&path, name, &mut value) == Ok(1)) && value == *b"1"
    };
    marked(c"user.delegate") || marked(c"trusted.delegate") || !geteuid().is_root()
}
