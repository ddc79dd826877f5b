//! The privileged process: starts, kills and reaps workers, removes what they leave. Nothing else.
//!
//! It is started before the service has a thread or a socket, has no network and parses nothing but
//! the few orders of `codejail_protocol::spawn`. When the service is gone it kills every worker and
//! removes every directory; when it is gone, the service ends.

mod clean;
mod clone;
mod error;
mod host;
mod launch;
mod mount_api;

use clean::cleaner::Cleaner;
use codejail_protocol::ScratchName;
use codejail_protocol::spawn::{SpawnerConfig, SpawnerOrder, SpawnerReport, WorkerId};
use codejail_transport::{Packet, PacketError, PacketSocket};
use error::LaunchError;
use launch::{Launched, Launcher, Order};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::SigSet;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::geteuid;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Where the supervisor puts this process's end of the socket: its standard input.
pub const SOCKET: RawFd = 0;

/// Most workers at once; the configuration allows 256 and each may have a successor warming up.
const WORKERS_MAX: usize = 1024;

/// How often orphans are looked for where no PID namespace keeps them.
const ORPHANS_EVERY_MS: u16 = 1000;

/// How long sandboxes without a worker may take to be gone: taking gigabytes down takes seconds.
const ORPHANS_END_MAX: Duration = Duration::from_secs(10);

/// Why the spawner gave up.
#[derive(Debug, thiserror::Error)]
pub enum SpawnerError {
    /// The conversation broke.
    #[error("spawner: {0}")]
    Packet(#[from] PacketError),
    /// An order that is not legal in this state.
    #[error("spawner: expected {0}")]
    Unexpected(&'static str),
    /// A system call that has no reason to fail did.
    #[error("spawner: {0}: {1}")]
    System(&'static str, Errno),
    /// It cannot work as configured.
    #[error("spawner: {0}")]
    Configure(#[from] LaunchError),
}

/// A worker that was launched and not reaped yet.
struct Running {
    launched: Launched,
    dir: ScratchName,
    uid: Option<u32>,
}

/// The spawner's state between two orders.
struct Spawner {
    socket: Arc<PacketSocket>,
    config: SpawnerConfig,
    launcher: Launcher,
    cleaner: Cleaner,
    workers: BTreeMap<WorkerId, Running>,
}

/// Serves the supervisor until it closes the socket, then leaves nothing behind.
///
/// # Errors
/// A broken conversation, or a system call that fails without reason; workers are killed first.
pub fn run() -> Result<(), SpawnerError> {
    leave_ending_to_the_supervisor()?;
    raise_descriptors()?;
    set_child_subreaper(true).map_err(|errno| SpawnerError::System("prctl", errno))?;
    // SAFETY: the supervisor put the socket there before exec, and this is the only taker.
    let socket = unsafe { OwnedFd::from_raw_fd(SOCKET) };
    let socket = Arc::new(PacketSocket::from(socket));
    let Some(config) = wait_for_configuration(&socket)? else {
        return Ok(());
    };
    let prepared = Launcher::new(&config).and_then(|launcher| {
        let root = config.scratch_root.clone();
        let started = Cleaner::start(root, &config.scratch_tag, Arc::clone(&socket));
        match started {
            Ok(cleaner) => Ok((launcher, cleaner)),
            Err(error) => {
                launcher.end();
                let key = format!("sandbox.scratch_dir {}", config.scratch_root.display());
                Err(LaunchError::File(key, error))
            }
        }
    });
    let (launcher, cleaner) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            let error_text = error.to_string();
            socket.send(&SpawnerReport::ConfigureFailed { error: error_text }, &[])?;
            return Err(error.into());
        }
    };
    let configured = SpawnerReport::Configured {
        layers: launcher.layers(),
        seats: launcher.seats(),
        apparmor: launcher.apparmor().clone(),
    };
    let mut spawner = Spawner {
        socket,
        config,
        launcher,
        cleaner,
        workers: BTreeMap::new(),
    };
    // From here on there is something that must not stay, even if nobody listens any more.
    let told = spawner.socket.send(&configured, &[]);
    let result = told.map_err(SpawnerError::from);
    let result = result.and_then(|()| spawner.serve());
    spawner.end();
    match result {
        // The supervisor went while it was being told something, or with something unread: as good as
        // closing the socket.
        Err(SpawnerError::Packet(PacketError::Socket(Errno::EPIPE | Errno::ECONNRESET))) => Ok(()),
        result => result,
    }
}

/// A terminal's Ctrl-C and what a service manager sends to the whole service reach this process too. All of
/// it is the supervisor's to obey, ending too, which drains first; its end closes the socket.
fn leave_ending_to_the_supervisor() -> Result<(), SpawnerError> {
    use signal_hook::consts::{
        SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2,
    };
    for signal in [
        SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2,
    ] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))
            .map_err(|_| SpawnerError::System("sigaction", Errno::last()))?;
    }
    // A service that starts holds signals back, and so did this process until here. Workers must not.
    let none_held = SigSet::empty().thread_set_mask();
    none_held.map_err(|errno| SpawnerError::System("pthread_sigmask", errno))
}

/// Each seat of each worker is a descriptor here: with 8 of them (the default) and a pidfd,
/// some hundred workers would not fit in the usual soft limit, 1024. Workers have one of their own.
fn raise_descriptors() -> Result<(), SpawnerError> {
    let resource = Resource::RLIMIT_NOFILE;
    getrlimit(resource)
        .and_then(|(_, hard)| setrlimit(resource, hard, hard))
        .map_err(|errno| SpawnerError::System("setrlimit", errno))
}

fn wait_for_configuration(socket: &PacketSocket) -> Result<Option<SpawnerConfig>, SpawnerError> {
    match socket.receive()? {
        None => Ok(None),
        Some(Packet {
            message: SpawnerOrder::Configure(config),
            ..
        }) => Ok(Some(config)),
        Some(_) => Err(SpawnerError::Unexpected("Configure")),
    }
}

impl Spawner {
    /// Waits for orders and ends, one at a time.
    fn serve(&mut self) -> Result<(), SpawnerError> {
        loop {
            let (order_waits, ended) = self.wait()?;
            self.reap_orphans()?;
            for worker in ended {
                self.reap(worker)?;
            }
            if !order_waits {
                continue;
            }
            let Some(packet) = self.socket.receive::<SpawnerOrder>()? else {
                return Ok(());
            };
            match packet.message {
                SpawnerOrder::Launch {
                    worker,
                    dir,
                    uid,
                    seats,
                } => {
                    let report = self.launch(worker, dir, uid, seats, packet.descriptors);
                    self.socket.send(&report, &[])?;
                }
                SpawnerOrder::Kill { worker } => self.kill(worker)?,
                SpawnerOrder::Clean { dir } => self.clean(dir)?,
                SpawnerOrder::Configure(_) => {
                    return Err(SpawnerError::Unexpected("Launch, Kill or Clean"));
                }
            }
        }
    }

    /// Whether an order waits, and which workers have ended.
    fn wait(&self) -> Result<(bool, Vec<WorkerId>), SpawnerError> {
        let mut polled: Vec<PollFd<'_>> = self
            .workers
            .values()
            .map(|running| PollFd::new(running.launched.process.pidfd.as_fd(), PollFlags::POLLIN))
            .collect();
        polled.push(PollFd::new(self.socket.as_fd(), PollFlags::POLLIN));
        match poll(&mut polled, self.poll_timeout()) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(SpawnerError::System("poll", errno)),
        }
        let ready: Vec<bool> = polled
            .iter()
            .map(|fd| fd.revents().is_some_and(|events| !events.is_empty()))
            .collect();
        let ended = self.workers.keys().zip(&ready);
        let ended = ended.filter(|(_, ready)| **ready).map(|(id, _)| *id);
        Ok((ready[self.workers.len()], ended.collect()))
    }

    /// Without PID namespaces the sandboxes of a lost worker come to this process to be reaped, and
    /// nothing but their end tells of them.
    fn poll_timeout(&self) -> PollTimeout {
        if self.launcher.pid_namespaces() {
            PollTimeout::NONE
        } else {
            PollTimeout::from(ORPHANS_EVERY_MS)
        }
    }

    /// Reaps children that are not workers: they were orphaned.
    fn reap_orphans(&self) -> Result<(), SpawnerError> {
        loop {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            let pid = match waitid(Id::All, flags) {
                Ok(status) => status.pid(),
                Err(Errno::ECHILD) => None,
                Err(errno) => return Err(SpawnerError::System("waitid", errno)),
            };
            let is_worker = |pid| {
                self.workers
                    .values()
                    .any(|running| running.launched.process.pid == pid)
            };
            match pid {
                Some(pid) if !is_worker(pid) => {
                    waitid(Id::Pid(pid), WaitPidFlag::WEXITED)
                        .map_err(|errno| SpawnerError::System("waitid", errno))?;
                }
                _ => return Ok(()),
            }
        }
    }

    fn launch(
        &mut self,
        worker: WorkerId,
        dir: ScratchName,
        uid: Option<u32>,
        seats: Vec<ScratchName>,
        descriptors: Vec<OwnedFd>,
    ) -> SpawnerReport {
        let refused = self.check(worker, &dir, uid, &seats).err();
        let descriptors: Result<[OwnedFd; 2], _> = descriptors.try_into();
        let descriptors = match (refused, descriptors) {
            (None, Ok(descriptors)) => descriptors,
            (refused, _) => {
                // Nothing was made, so nothing of this name is for this process to remove.
                let refused = refused.unwrap_or("other than two descriptors");
                let error = LaunchError::Refused(refused).to_string();
                return SpawnerReport::LaunchFailed { worker, error };
            }
        };
        let launched = self.launcher.launch(Order {
            worker,
            dir: dir.clone(),
            uid,
            seats,
            descriptors,
        });
        match launched {
            Ok(launched) => {
                let pid = launched.process.pid.as_raw();
                self.workers.insert(worker, Running { launched, dir, uid });
                SpawnerReport::Launched { worker, pid }
            }
            Err(error) => {
                // What was there before it was made is not ours to remove.
                if !error.is_existing_directory() {
                    self.forget(dir);
                }
                let error = error.to_string();
                SpawnerReport::LaunchFailed { worker, error }
            }
        }
    }

    /// The bounds that hold whatever the supervisor has become; what is wrong if they don't.
    fn check(
        &self,
        worker: WorkerId,
        dir: &ScratchName,
        uid: Option<u32>,
        seats: &[ScratchName],
    ) -> Result<(), &'static str> {
        self.check_uid(uid)?;
        // A second one of this number would take the first's place here: nobody would kill that, and its
        // uid would count as free.
        if self.workers.contains_key(&worker) {
            return Err("the number of a worker that runs");
        }
        if self.workers.len() >= WORKERS_MAX {
            return Err("more than 1024 workers");
        }
        let many = seats.len() >= self.config.uids_per_worker as usize;
        if many || (seats.is_empty() && self.launcher.seats()) {
            return Err("a number of seats that no worker has");
        }
        if !seats.iter().chain([dir]).all(|name| self.is_own(name)) {
            return Err("a name without this service's tag");
        }
        Ok(())
    }

    /// Of root's service each worker has the first uid of a part of the range that nobody else has: the
    /// others are its sandboxes'.
    fn check_uid(&self, uid: Option<u32>) -> Result<(), &'static str> {
        let config = &self.config;
        let Some(uid) = uid else {
            return match geteuid().is_root() {
                true => Err("a worker as root"),
                false => Ok(()),
            };
        };
        let range = config.uid_base..config.uid_base.saturating_add(config.uid_count);
        if !range.contains(&uid) {
            return Err("a uid outside the configured range");
        }
        let part = config.uids_per_worker;
        if part == 0 || (uid - range.start) % part != 0 || range.end - uid < part {
            return Err("a uid that is not the first of a worker's");
        }
        let mut running = self.workers.values();
        if running.any(|running| running.uid == Some(uid)) {
            return Err("a uid that another worker has");
        }
        Ok(())
    }

    /// Other services may have directories below the same root.
    fn is_own(&self, name: &ScratchName) -> bool {
        name.same_tag(&self.config.scratch_tag)
    }

    /// Makes a seat or a directory free again, and says so.
    fn clean(&self, dir: ScratchName) -> Result<(), SpawnerError> {
        let mut seats = self.workers.values();
        let seat = seats.find_map(|running| running.launched.seats.as_ref()?.find(&dir));
        if let Some(seat) = seat {
            self.cleaner.empty(dir, seat);
            return Ok(());
        }
        let error = if self.is_own(&dir) {
            let error = self.cleaner.clean(dir.clone()).err();
            error.map(|errno| errno.to_string())
        } else {
            Some("refused: a name without this service's tag".to_owned())
        };
        let report = SpawnerReport::Cleaned { dir, error };
        Ok(self.socket.send(&report, &[])?)
    }

    /// Removes a worker's directory; nobody waits for it.
    fn forget(&self, dir: ScratchName) {
        if let Err(errno) = self.cleaner.clean(dir.clone()) {
            eprintln!("spawner: {dir} stays: {errno}");
        }
    }

    /// Of a worker that has ended already this is no fault: the two may cross.
    fn kill(&self, worker: WorkerId) -> Result<(), SpawnerError> {
        match self.workers.get(&worker) {
            Some(running) => running
                .launched
                .kill()
                .map_err(|errno| SpawnerError::System("pidfd_send_signal", errno)),
            None => Ok(()),
        }
    }

    fn reap(&mut self, worker: WorkerId) -> Result<(), SpawnerError> {
        let Some(running) = self.workers.remove(&worker) else {
            return Ok(());
        };
        let status = wait_for(&running.launched)?;
        self.release(running);
        Ok(self
            .socket
            .send(&SpawnerReport::Ended { worker, status }, &[])?)
    }

    /// What a worker had that is reaped: its file systems go with the last descriptor.
    fn release(&self, running: Running) {
        if let Some(cgroup) = &running.launched.cgroup {
            // Whoever ended the worker: what it leaves ends with it.
            cgroup.kill();
            cgroup.remove();
        }
        if running.launched.seats.is_none() {
            self.forget(running.dir);
        }
    }

    /// The supervisor is gone: no process and no directory of its service stays.
    fn end(mut self) {
        for running in self.workers.values() {
            if let Err(errno) = running.launched.kill() {
                let pid = running.launched.process.pid;
                eprintln!("spawner: killing worker {pid}: {errno}");
            }
        }
        for running in std::mem::take(&mut self.workers).into_values() {
            if let Err(error) = wait_for(&running.launched) {
                eprintln!("{error}");
            }
            self.release(running);
        }
        wait_for_orphans();
        self.cleaner.finish(&self.config.scratch_tag);
        self.launcher.end();
    }
}

/// Without PID namespaces a lost worker's sandboxes come to this process. Each ends by itself, at once
/// (PR_SET_PDEATHSIG); one that was just being made may make its directory before that, which is to be
/// removed too.
fn wait_for_orphans() {
    let deadline = Instant::now() + ORPHANS_END_MAX;
    loop {
        match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
            Err(Errno::ECHILD) => return,
            Err(errno) => return eprintln!("spawner: waitid: {errno}"),
            Ok(WaitStatus::StillAlive) if Instant::now() >= deadline => {
                return eprintln!("spawner: a worker's processes are still there");
            }
            Ok(WaitStatus::StillAlive) => std::thread::sleep(ORPHANS_END_MAX / 1000),
            Ok(_) => {}
        }
    }
}

/// Reaps one worker: its exit status, or the negative number of the signal that ended it.
fn wait_for(launched: &Launched) -> Result<i32, SpawnerError> {
    match waitid(Id::Pid(launched.process.pid), WaitPidFlag::WEXITED) {
        Ok(WaitStatus::Exited(_, status)) => Ok(status),
        Ok(WaitStatus::Signaled(_, signal, _)) => Ok(-(signal as i32)),
        Ok(_) => Err(SpawnerError::System("waitid", Errno::EINVAL)),
        Err(errno) => Err(SpawnerError::System("waitid", errno)),
    }
}
