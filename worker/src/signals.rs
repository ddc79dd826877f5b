//! Signals that a service manager sends to every process of a service.
//!
//! A worker ignores them: the supervisor decides when a worker ends, and a run of the worker's may
//! go on until then. Where there is a PID namespace the kernel ignores most of them for a worker;
//! this holds without one too. A sandbox has the actions of a fresh interpreter.

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// What systemd, a container's runtime or a terminal sends to end what runs.
const TO_ALL: [Signal; 4] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
];

/// The signals that this worker ignores, with the interpreter's own actions.
#[derive(Debug)]
pub struct Ignored([SigAction; TO_ALL.len()]);

impl Ignored {
    /// Ignores them. Python does not notice: what `signal.getsignal` says is its own.
    pub fn ignore() -> Result<Self, Errno> {
        let mut actions = [ignoring(); TO_ALL.len()];
        for (signal, action) in TO_ALL.into_iter().zip(&mut actions) {
            *action = set(signal, &ignoring())?;
        }
        Ok(Self(actions))
    }

    /// Ignores them after modules were imported, which may have set actions of their own.
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

/// The action before.
fn set(signal: Signal, action: &SigAction) -> Result<SigAction, Errno> {
    // SAFETY: the action ignores the signal, or is one that the interpreter installed itself.
    unsafe { sigaction(signal, action) }
}
