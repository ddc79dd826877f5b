//! The worker's loop: order, fork, reap. It never reads a request and holds nothing of one.

use crate::control::{Control, ControlError};
use crate::execute::{self, Inherited};
use crate::interpreter::OwnProcess;
use crate::layers::descriptors;
use crate::sandbox::SandboxSpec;
use codejail_protocol::ScratchName;
use codejail_protocol::control::{Exited, SandboxId, WorkerConfig, WorkerReport, WorkerRequest};
use codejail_protocol::job::Usage;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::getpid;
use pyo3::ffi;
use pyo3::prelude::*;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

/// Why the loop ended badly.
#[derive(Debug, thiserror::Error)]
pub enum ForkServerError {
    /// The conversation broke.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A system call failed that has no reason to fail.
    #[error("{0}: {1}")]
    System(&'static str, Errno),
    /// The kernel does not say which children this process has.
    #[error("list children: {0}")]
    Children(#[from] std::io::Error),
    /// Processes of a run that is over come faster than they are killed.
    #[error("a run's processes can't be ended")]
    Orphans,
}

/// One sandbox that runs or waits.
struct Child {
    sandbox: SandboxId,
    pid: libc::pid_t,
    pidfd: OwnedFd,
}

/// Serves orders until the supervisor closes the conversation.
pub fn run(
    py: Python<'_>,
    control: &Control,
    config: &WorkerConfig,
    inherited: &Inherited<'_>,
    own_process: &OwnProcess,
    image_bytes: u64,
) -> Result<(), ForkServerError> {
    let sandboxes_max = config.sandboxes_max as usize;
    let mut children: Vec<Child> = Vec::new();
    loop {
        let (order_waits, ended) = wait(control, &children)?;
        for index in ended.into_iter().rev() {
            let child = children.swap_remove(index);
            let exited = reap(&child)?;
            end_orphans(own_process, &children)?;
            control.report(&WorkerReport::Exited(exited))?;
        }
        if !order_waits {
            continue;
        }
        let Some(packet) = control.wait_for_order()? else {
            return end_all(&children);
        };
        match packet.message {
            WorkerRequest::Prepare { sandbox, dir, uid } if children.len() < sandboxes_max => {
                let spec = SandboxSpec {
                    scratch: config.scratch_root.join(dir.as_str()),
                    seat: config.seats,
                    uid,
                    worker: getpid(),
                    image_bytes,
                    descriptors_max: config.descriptors_max,
                    user_namespace: uid.is_none() && config.user_namespaces,
                    // The worker and its other sandboxes count too.
                    uid_sharers: uid.map_or(config.sandboxes_max.into(), |_| 0),
                };
                match fork(py, inherited, spec, packet.descriptors) {
                    Ok((pid, pidfd)) => children.push(Child {
                        sandbox,
                        pid,
                        pidfd,
                    }),
                    Err(errno) => control.report(&failed(sandbox, &dir, errno))?,
                }
            }
            WorkerRequest::Kill { sandbox } => {
                if let Some(child) = children.iter().find(|child| child.sandbox == sandbox) {
                    kill(child)?;
                }
            }
            WorkerRequest::Prepare { .. } | WorkerRequest::Start(_) => {
                let expected = "Prepare, not more often than configured, or Kill";
                return Err(ControlError::Unexpected { expected }.into());
            }
        }
    }
}

fn failed(sandbox: SandboxId, dir: &ScratchName, errno: Errno) -> WorkerReport {
    let error = format!("fork for {dir}: {errno}");
    WorkerReport::PrepareFailed { sandbox, error }
}

/// Waits for an order or for the end of a child. Returns whether an order waits, and which children
/// have ended.
fn wait(control: &Control, children: &[Child]) -> Result<(bool, Vec<usize>), ForkServerError> {
    let watch = |fd| PollFd::new(fd, PollFlags::POLLIN);
    let mut polled: Vec<PollFd<'_>> = children
        .iter()
        .map(|child| watch(child.pidfd.as_fd()))
        .collect();
    polled.push(watch(control.as_fd()));
    match poll(&mut polled, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(ForkServerError::System("poll", errno)),
    }
    let ready = |polled: &PollFd<'_>| polled.revents().is_some_and(|events| !events.is_empty());
    let ended = (0..children.len())
        .filter(|index| ready(&polled[*index]))
        .collect();
    Ok((ready(&polled[children.len()]), ended))
}

/// Forks one sandbox. CPython's calls before and after a fork are needed: without them 3.13 aborts.
/// The fork must be libc's: malloc, OpenBLAS and OpenSSL have hooks there. The child never returns
/// from here.
fn fork(
    py: Python<'_>,
    inherited: &Inherited<'_>,
    spec: SandboxSpec,
    given: Vec<OwnedFd>,
) -> Result<(libc::pid_t, OwnedFd), Errno> {
    // SAFETY: the GIL is held and this process has one thread; each call has its counterpart below.
    let pid = unsafe {
        ffi::PyOS_BeforeFork();
        libc::fork()
    };
    if pid == 0 {
        // SAFETY: this is the child of a fork that PyOS_BeforeFork prepared.
        unsafe { ffi::PyOS_AfterFork_Child() };
        execute::run(py, inherited, spec, descriptors::place(given));
    }
    let pid = Errno::result(pid);
    // SAFETY: this is the parent of a fork that PyOS_BeforeFork prepared, successful or not.
    unsafe { ffi::PyOS_AfterFork_Parent() };
    let pid = pid?;
    match pidfd_open(pid) {
        Ok(pidfd) => Ok((pid, pidfd)),
        Err(errno) => {
            // A child that can't be watched must not live.
            let child = nix::unistd::Pid::from_raw(pid);
            nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL)?;
            nix::sys::wait::waitpid(child, None)?;
            Err(errno)
        }
    }
}

/// pidfd_open(2), Linux 5.3: makes a descriptor on which the end of a child can be polled, without
/// signals.
fn pidfd_open(pid: libc::pid_t) -> Result<OwnedFd, Errno> {
    // SAFETY: the call takes two numbers; the descriptor it returns is new and ours.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: as above; descriptors are small positive numbers.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).map_err(|_| Errno::EMFILE)?) })
}

fn kill(child: &Child) -> Result<(), ForkServerError> {
    let pid = nix::unistd::Pid::from_raw(child.pid);
    match nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(ForkServerError::System("kill", errno)),
    }
}

/// Reaps one child that has ended. wait4(2) also returns its resource usage.
fn reap(child: &Child) -> Result<Exited, ForkServerError> {
    let mut status = 0;
    // SAFETY: an all-zero rusage is a valid one.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values of the right types.
    let pid = unsafe { libc::wait4(child.pid, &raw mut status, 0, &raw mut usage) };
    Errno::result(pid).map_err(|errno| ForkServerError::System("wait4", errno))?;
    let micros =
        |time: libc::timeval| time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_usec.unsigned_abs();
    Ok(Exited {
        sandbox: child.sandbox,
        status: if libc::WIFSIGNALED(status) {
            -libc::WTERMSIG(status)
        } else {
            libc::WEXITSTATUS(status)
        },
        used: Usage {
            cpu_us: micros(usage.ru_utime) + micros(usage.ru_stime),
            resident_kib_max: usage.ru_maxrss.unsigned_abs(),
        },
    })
}

/// Ends processes that a run has left, before its user and its seat go to another run. seccomp
/// keeps a run from having children; this is for a sandbox without that filter. The worker is the
/// first process of a PID namespace, so orphans become its children.
fn end_orphans(own_process: &OwnProcess, children: &[Child]) -> Result<(), ForkServerError> {
    /// Each turn ends all orphans that are there. Another turn is needed only for processes that
    /// were forked meanwhile, and NPROC bounds their number.
    const TURNS_MAX: usize = 1000;
    for _ in 0..TURNS_MAX {
        let mut orphans = own_process.children()?;
        orphans.retain(|pid| children.iter().all(|child| child.pid != *pid));
        if orphans.is_empty() {
            return Ok(());
        }
        for pid in orphans {
            let orphan = nix::unistd::Pid::from_raw(pid);
            nix::sys::signal::kill(orphan, nix::sys::signal::Signal::SIGKILL)
                .and_then(|()| nix::sys::wait::waitpid(orphan, None))
                .map_err(|errno| ForkServerError::System("end an orphan", errno))?;
        }
    }
    Err(ForkServerError::Orphans)
}

/// Ends all children: the supervisor is gone, or wants no more sandboxes, and nothing of this
/// worker may outlive it. In a PID namespace the kernel would end them too; elsewhere
/// PR_SET_PDEATHSIG would.
fn end_all(children: &[Child]) -> Result<(), ForkServerError> {
    for child in children {
        kill(child)?;
    }
    for child in children {
        reap(child)?;
    }
    Ok(())
}
