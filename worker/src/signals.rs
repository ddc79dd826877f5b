//! Signals that a service manager sends to every process of a service.
//!
//! A worker ignores them: the supervisor decides when a worker ends, and a run of the worker may go
//! on until then. In a PID namespace the kernel keeps most of them from a worker anyway; this also
//! works without one. A sandbox has the actions of a fresh interpreter.

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// The signals by which systemd, a container runtime or a terminal ends a service.
const TO_ALL: [Signal; 4] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
];

/// The signals that this worker ignores, each with the action that the interpreter had for it.
#[derive(Debug)]
pub struct Ignored([SigAction; TO_ALL.len()]);

impl Ignored {
    /// Ignores them. Python does not notice: `signal.getsignal` answers from its own notes.
    pub fn ignore() -> Result<Self, Errno> {
        let mut actions = [ignoring(); TO_ALL.len()];
        for (signal, action) in TO_ALL.into_iter().zip(&mut actions) {
            *action = set(signal, &ignoring())?;
        }
        Ok(Self(actions))
    }

    /// Ignores them again, after the import of modules that may have set actions of their own.
    pub fn ignore_again(&self) -> Result<(), Errno> {
        let set_one = |signal| set(signal, &ignoring()).map(drop);
        TO_ALL.into_iter().try_for_each(set_one)
    }

    /// Gives a sandbox the interpreter's own actions.
    pub fn restore(&self) -> Result<(), Errno> {
        let mut pairs = TO_ALL.into_iter().zip(&self.0);
        pairs.try_for_each(|(signal, action)| set(signal, action).map(drop))
    }
}

fn ignoring() -> SigAction {
    SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty())
}

/// Sets an action, and returns the one before.
fn set(signal: Signal, action: &SigAction) -> Result<SigAction, Errno> {
    // SAFETY: the action ignores the signal, or is one that the interpreter installed itself.
    unsafe { sigaction(signal, action) }
}
