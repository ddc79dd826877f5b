//! A failure in a new process: how the process tells it, and how the spawner reads it.

use crate::error::{LaunchError, system};
use crate::sys::process::exit;
use crate::worker_root::{EnterFailure, RootPlan};
use nix::errno::Errno;
use nix::unistd::{read, write};
use std::os::fd::AsFd;

/// The steps from clone to exec, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Wait until the spawner has put this process where it belongs.
    WaitForSpawner,
    /// Lead a session of its own.
    Session,
    /// Close the IPC namespace for System V objects.
    Ipc,
    /// Enter a root of its own.
    Root,
    /// Put the worker's descriptors in their places.
    Descriptors,
    /// Have all other descriptors closed by the exec.
    CloseAtExec,
    /// Become the first process that the kernel kills when memory is short.
    OomScore,
    /// Enter the worker's directory.
    Directory,
    /// Enter a user namespace of its own.
    UserNamespace,
    /// Give up for good all capabilities that a worker does not get.
    CapabilityBounds,
    /// Become the worker's user.
    User,
    /// Keep the worker's capabilities over the exec.
    Capabilities,
    /// Set SIGPIPE as Python expects it, and the death signal.
    Signals,
    /// Ask for the AppArmor profile.
    AppArmor,
    /// Become Python.
    Exec,
}

impl Step {
    const ALL: [Self; 15] = [
        Self::WaitForSpawner,
        Self::Session,
        Self::Ipc,
        Self::Root,
        Self::Descriptors,
        Self::CloseAtExec,
        Self::OomScore,
        Self::Directory,
        Self::UserNamespace,
        Self::CapabilityBounds,
        Self::User,
        Self::Capabilities,
        Self::Signals,
        Self::AppArmor,
        Self::Exec,
    ];

    /// The step's name in an error.
    pub fn name(self) -> &'static str {
        match self {
            Self::WaitForSpawner => "wait for the spawner",
            Self::Session => "setsid",
            Self::Ipc => "System V IPC",
            Self::Root => "a root of its own",
            Self::Descriptors => "standard streams",
            Self::CloseAtExec => "close_range with CLOSE_RANGE_CLOEXEC (it needs Linux 5.11)",
            Self::OomScore => "out-of-memory score",
            Self::Directory => "enter its directory",
            Self::UserNamespace => "a user namespace of its own",
            Self::CapabilityBounds => "capability bounds",
            Self::User => "user and group",
            Self::Capabilities => "capabilities",
            Self::Signals => "signals",
            Self::AppArmor => "apparmor profile",
            Self::Exec => {
                "exec of python (Python, its loader or one of its libraries may be in a \
                 directory that workers can't see: add it to python.read_paths)"
            }
        }
    }

    /// Turns a system call's error into this step's failure.
    pub fn failed(self) -> impl FnOnce(Errno) -> ChildFailure {
        move |errno| ChildFailure {
            step: self,
            errno,
            bind: None,
        }
    }

    fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|step| *step as u32 == number)
    }
}

/// A failure as bytes: three native numbers.
const FAILURE_BYTES: usize = 16;

/// What failed in the new process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChildFailure {
    step: Step,
    errno: Errno,
    /// The number of the root's bind that failed; none if the failure was something else.
    bind: Option<usize>,
}

impl From<EnterFailure> for ChildFailure {
    fn from(failure: EnterFailure) -> Self {
        Self {
            step: Step::Root,
            errno: failure.errno,
            bind: failure.bind,
        }
    }
}

impl ChildFailure {
    /// Tells the spawner and ends this process. An error of the write is ignored: nobody could
    /// receive it.
    pub fn tell(self, pipe: impl AsFd) -> ! {
        let _ = write(pipe, &self.to_bytes());
        exit(1)
    }

    fn to_bytes(self) -> [u8; FAILURE_BYTES] {
        let bind = self.bind.map_or(u64::MAX, |number| number as u64);
        let mut bytes = [0; FAILURE_BYTES];
        bytes[..4].copy_from_slice(&(self.step as u32).to_ne_bytes());
        bytes[4..8].copy_from_slice(&(self.errno as i32).to_ne_bytes());
        bytes[8..].copy_from_slice(&bind.to_ne_bytes());
        bytes
    }

    /// None where the bytes name no step.
    fn from_bytes(bytes: [u8; FAILURE_BYTES]) -> Option<Self> {
        let [s0, s1, s2, s3, e0, e1, e2, e3, bind @ ..] = bytes;
        let bind = u64::from_ne_bytes(bind);
        Some(Self {
            step: Step::from_number(u32::from_ne_bytes([s0, s1, s2, s3]))?,
            errno: Errno::from_raw(i32::from_ne_bytes([e0, e1, e2, e3])),
            bind: usize::try_from(bind).ok().filter(|_| bind != u64::MAX),
        })
    }

    /// The error for the log; `root` is the root that the process was to enter.
    fn into_error(self, root: Option<&RootPlan>) -> LaunchError {
        let name = self.step.name();
        let step = match root {
            Some(root) if self.step == Step::Root => format!("{name}: {}", root.place(self.bind)),
            _ => name.to_owned(),
        };
        LaunchError::Child(step, self.errno)
    }
}

/// In the spawner: waits until the new process has become another program or has ended. Then the
/// process's end of the pipe closes; no other copy of that end may be open.
///
/// # Errors
/// The failure that the process wrote to the pipe.
pub fn hear(pipe: impl AsFd, root: Option<&RootPlan>) -> Result<(), LaunchError> {
    let mut message = [0; FAILURE_BYTES];
    let length = read(pipe, &mut message).map_err(system("hear from the new process"))?;
    if length == 0 {
        return Ok(());
    }
    let failure = ChildFailure::from_bytes(message).filter(|_| length == FAILURE_BYTES);
    match failure {
        Some(failure) => Err(failure.into_error(root)),
        None => Err(LaunchError::System(
            "a message of the new process that says nothing",
            Errno::EBADMSG,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::pipe;

    #[test]
    fn every_step_comes_back_from_its_number() {
        for (number, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(Step::from_number(number as u32), Some(step));
        }
        assert_eq!(Step::Exec as usize + 1, Step::ALL.len());
        assert_eq!(Step::from_number(Step::ALL.len() as u32), None);
    }

    #[test]
    fn a_failure_survives_the_pipe() {
        for bind in [None, Some(0), Some(7)] {
            let failure = ChildFailure {
                step: Step::Root,
                errno: Errno::EACCES,
                bind,
            };
            assert_eq!(ChildFailure::from_bytes(failure.to_bytes()), Some(failure));
        }
    }

    #[test]
    fn half_a_message_and_an_unknown_step_are_named_as_such() {
        for message in [&[0; 8][..], &[0xff; FAILURE_BYTES][..]] {
            let (reader, writer) = pipe().unwrap();
            write(&writer, message).unwrap();
            drop(writer);
            let error = hear(&reader, None).unwrap_err().to_string();
            assert!(error.starts_with("a message of the new process"), "{error}");
        }
    }

    #[test]
    fn a_closed_pipe_means_that_nothing_failed() {
        let (reader, writer) = pipe().unwrap();
        drop(writer);
        hear(&reader, None).unwrap();
    }
}
