//! A sandbox locks itself down in two steps: before there is a job, and when the job's files are in
//! place. The order of the calls is the order of security.

use crate::confine::Confined;
use crate::layers::identity::{self, SandboxUid};
use crate::layers::kill_timer::KillTimer;
use crate::layers::landlock::LandlockFinal;
use crate::layers::scratch::{Directory, Scratch};
use crate::layers::seccomp::SeccompFinal;
use crate::layers::{LayerError, descriptors, process, rlimits};
use codejail_protocol::job::Limits;
use nix::unistd::Pid;
use std::path::PathBuf;

/// A sandbox that waits for its job.
#[derive(Debug)]
pub struct Sandbox {
    scratch: Scratch,
    uid: SandboxUid,
    landlock: Option<LandlockFinal>,
    seccomp: Option<SeccompFinal>,
    rlimits: bool,
    clock: KillTimer,
    worker: Pid,
    image_bytes: u64,
    uid_sharers: u64,
}

/// What a new sandbox is made of.
#[derive(Debug)]
pub struct SandboxSpec {
    /// Its directory.
    pub scratch: PathBuf,
    /// Whether the directory exists already, on a file system of its own; otherwise the sandbox
    /// makes it.
    pub seat: bool,
    /// Its own user.
    pub uid: SandboxUid,
    /// The process that forks it.
    pub worker: Pid,
    /// Bytes of address space that the warm image takes.
    pub image_bytes: u64,
    /// How many descriptors it may have.
    pub descriptors_max: u64,
    /// Number of other processes of the same user, which count in the sandbox's NPROC.
    pub uid_sharers: u64,
    /// Whether the sandbox enters a user namespace of its own, where no other process counts.
    pub user_namespace: bool,
}

/// The first step, in a fresh child that is still the worker's user. Its standard streams and its
/// status pipe are in place. All other descriptors are closed as soon as no step needs them any
/// more.
pub fn enter(
    spec: SandboxSpec,
    jailed_code: &[u8],
    confined: &Confined,
) -> Result<Sandbox, LayerError> {
    process::own_session()?;
    let directory = Directory::enter(spec.scratch, spec.seat)?;
    identity::make_files_for(spec.uid)?;
    let scratch = directory.furnish(jailed_code)?;
    let apparmor = confined.apparmor.as_ref();
    let apparmor = apparmor
        .map(|apparmor| Ok((apparmor, apparmor.open_attributes()?)))
        .transpose()?;
    let alone = spec.user_namespace && identity::enter_user_namespace()?;
    identity::become_user(spec.uid)?;
    process::not_dumpable()?;
    process::die_with_parent(spec.worker)?;
    let clock = KillTimer::make()?;
    scratch.make_tmp()?;
    if let Some((apparmor, attributes)) = apparmor {
        apparmor.confine_sandbox(attributes)?;
    }
    let landlock = confined.landlock.as_ref();
    let landlock = landlock
        .map(|landlock| landlock.confine_sandbox(scratch.path()))
        .transpose()?;
    let kept = landlock.iter().map(LandlockFinal::descriptor);
    descriptors::close_others(&kept.chain([scratch.descriptor()]).collect::<Vec<_>>())?;
    if confined.rlimits {
        rlimits::set_for_sandbox(spec.descriptors_max)?;
    }
    let seccomp = match &confined.filters {
        Some(filters) => {
            filters.confine_sandbox()?;
            Some(filters.last_stage())
        }
        None => None,
    };
    Ok(Sandbox {
        scratch,
        uid: spec.uid,
        landlock,
        seccomp,
        rlimits: confined.rlimits,
        clock,
        worker: spec.worker,
        image_bytes: spec.image_bytes,
        uid_sharers: if alone { 0 } else { spec.uid_sharers },
    })
}

impl Sandbox {
    /// Its directory.
    pub fn path(&self) -> &std::path::Path {
        self.scratch.path()
    }

    /// Starts the clock. To be called when the job's header, and so its limit, is known.
    pub fn start_clock(&mut self, limits: &Limits) -> Result<(), LayerError> {
        self.clock.start(limits.realtime_ms)
    }

    /// The second step, when the job is there. The job's limits hold from here on, and no step can
    /// be undone.
    pub fn close(self, library: Option<&[u8]>, limits: &Limits) -> Result<(), LayerError> {
        self.scratch.place_library(library)?;
        identity::leave_worker_group(self.uid)?;
        process::not_dumpable()?;
        process::die_with_parent(self.worker)?;
        if let Some(landlock) = self.landlock {
            landlock.enforce()?;
        }
        if self.rlimits {
            rlimits::set_for_job(limits, self.image_bytes, self.uid_sharers)?;
        }
        self.seccomp.map_or(Ok(()), |filter| filter.enforce())
    }
}
