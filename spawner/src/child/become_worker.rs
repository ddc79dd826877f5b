//! From clone to exec: the order in which a new process becomes a worker. `child/mod.rs` says what
//! such a process may do.

use super::credentials::{become_user, bound_capabilities, keep_capabilities};
use super::exec_plan::{ChildDescriptors, ExecPlan, FIRST_FREE};
use super::failure::{ChildFailure, Step};
use super::proc_files::{close_ipc, enter_profile_at_exec, go_first_when_memory_is_short};
use crate::sys::process::{close_at_exec_from, execute, exit, put_descriptor_at, restore_sigpipe};
use crate::worker_root::Root;
use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{chdir, close, read, setsid};
use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};

/// Becomes the worker, or tells the spawner which step failed and ends.
pub fn run(plan: &mut ExecPlan<'_>) -> ! {
    match steps(plan) {
        Ok(never) => match never {},
        Err(failure) => failure.tell(&plan.descriptors.failed),
    }
}

/// Enters a root and ends, or tells the spawner what failed.
pub fn try_root(root: &mut Root<'_>, failed: &OwnedFd) -> ! {
    match root.enter() {
        Ok(()) => exit(0),
        Err(failure) => ChildFailure::from(failure).tell(failed),
    }
}

/// The order matters. The IPC namespace is closed while the host's `/proc` is there. The root is
/// entered while there is CAP_SYS_ADMIN and the descriptors have the numbers that the root knows,
/// and before a user namespace, in which mounts are locked. Capabilities are bounded while there is
/// CAP_SETPCAP. The user changes before the capabilities, and the death signal is set after the
/// change of user, which clears it.
fn steps(plan: &mut ExecPlan<'_>) -> Result<Infallible, ChildFailure> {
    wait_for_spawner(&plan.descriptors).map_err(Step::WaitForSpawner.failed())?;
    setsid().map_err(Step::Session.failed())?;
    if plan.closes_ipc {
        close_ipc().map_err(Step::Ipc.failed())?;
    }
    if let Some(root) = &mut plan.root {
        root.enter()?;
    }
    place(&plan.descriptors).map_err(Step::Descriptors.failed())?;
    close_at_exec_from(FIRST_FREE.cast_unsigned()).map_err(Step::CloseAtExec.failed())?;
    go_first_when_memory_is_short().map_err(Step::OomScore.failed())?;
    chdir(plan.directory.as_c_str()).map_err(Step::Directory.failed())?;
    if let Some(users) = plan.users {
        let entered = users.enter(CloneFlags::empty());
        entered.map_err(Step::UserNamespace.failed())?;
    }
    if let Some(uid) = plan.uid {
        bound_capabilities().map_err(Step::CapabilityBounds.failed())?;
        become_user(uid).map_err(Step::User.failed())?;
        keep_capabilities().map_err(Step::Capabilities.failed())?;
    }
    set_signals().map_err(Step::Signals.failed())?;
    if let Some(profile) = plan.apparmor {
        enter_profile_at_exec(profile).map_err(Step::AppArmor.failed())?;
    }
    execute(plan.python, &plan.arguments, &plan.environment).map_err(Step::Exec.failed())
}

/// The spawner sends one byte once this process is in its cgroup. End of file means that the
/// spawner has given up, or is gone.
fn wait_for_spawner(descriptors: &ChildDescriptors) -> Result<(), Errno> {
    // Otherwise this process's own copy would keep the pipe open.
    close(descriptors.input_writer)?;
    match read(&descriptors.input, &mut [0])? {
        1 => Ok(()),
        _ => Err(Errno::ECANCELED),
    }
}

/// Descriptor 0 is a pipe at end of file, as in a sandbox; 1 and 2 are the log, 3 is the control
/// socket, 4 the module.
fn place(descriptors: &ChildDescriptors) -> Result<(), Errno> {
    let log = descriptors.log.as_fd();
    let places = [
        descriptors.input.as_fd(),
        log,
        log,
        descriptors.control.as_fd(),
        descriptors.module.as_fd(),
    ];
    for (number, descriptor) in (0..FIRST_FREE).zip(places) {
        put_descriptor_at(descriptor, number)?;
    }
    Ok(())
}

/// Rust ignores SIGPIPE and exec keeps that; Python shall start as from a shell. The death signal
/// makes the worker die with the spawner, also where no PID namespace ends it.
fn set_signals() -> Result<(), Errno> {
    restore_sigpipe()?;
    set_pdeathsig(Signal::SIGKILL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::failure::hear;
    use crate::error::LaunchError;
    use crate::sys::clone::{Cloned, clone};
    use crate::sys::process::CStringArray;
    use nix::fcntl::OFlag;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{pipe2, write};
    use std::ffi::CStr;
    use std::fs::File;
    use std::os::fd::AsRawFd;

    /// A process that is to become `program` and waits for its byte: the process, its input and the
    /// pipe for its failures.
    fn start(program: &CStr, directory: &CStr) -> (Cloned, OwnedFd, OwnedFd) {
        let (input, go) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let (hears, failed) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let null = || OwnedFd::from(File::options().write(true).open("/dev/null").unwrap());
        let descriptors = ChildDescriptors {
            input,
            input_writer: go.as_raw_fd(),
            log: null(),
            control: null(),
            module: null(),
            failed,
        };
        let mut plan = ExecPlan {
            python: program,
            arguments: CStringArray::new([program, c"-E"].into_iter()),
            environment: CStringArray::new(std::iter::empty()),
            directory: directory.to_owned(),
            uid: None,
            users: None,
            descriptors: descriptors.out_of_the_way().unwrap(),
            apparmor: None,
            closes_ipc: false,
            root: None,
        };
        let process = clone(0, || run(&mut plan)).unwrap();
        (process, go, hears)
    }

    fn hear_soon(process: &Cloned, hears: &OwnedFd) -> Result<(), LaunchError> {
        let mut polled = [PollFd::new(hears.as_fd(), PollFlags::POLLIN)];
        if poll(&mut polled, PollTimeout::from(10_000_u16)).unwrap() == 0 {
            process.kill().unwrap();
            panic!("the new process says nothing and does not go on");
        }
        hear(hears, None)
    }

    #[test]
    fn a_process_that_is_let_go_becomes_the_program() {
        let (process, go, hears) = start(c"/bin/true", c"/");
        write(&go, b"!").unwrap();
        drop(go);
        hear_soon(&process, &hears).unwrap();
        let ended = waitpid(process.pid, None).unwrap();
        assert_eq!(ended, WaitStatus::Exited(process.pid, 0));
    }

    #[test]
    fn a_process_whose_spawner_is_gone_ends() {
        let (process, go, hears) = start(c"/bin/true", c"/");
        drop(go);
        let error = hear_soon(&process, &hears).unwrap_err().to_string();
        assert!(error.contains("wait for the spawner: ECANCELED"), "{error}");
        let ended = waitpid(process.pid, None).unwrap();
        assert_eq!(ended, WaitStatus::Exited(process.pid, 1));
    }

    #[test]
    fn a_step_that_fails_is_named() {
        for (program, directory, named) in [
            (c"/no/such/program", c"/", "exec of python"),
            (c"/bin/true", c"/no/such/directory", "enter its directory"),
        ] {
            let (process, go, hears) = start(program, directory);
            write(&go, b"!").unwrap();
            let error = hear_soon(&process, &hears).unwrap_err().to_string();
            assert!(error.contains(named) && error.contains("ENOENT"), "{error}");
            waitpid(process.pid, None).unwrap();
        }
    }
}
