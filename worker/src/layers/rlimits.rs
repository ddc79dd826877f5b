//! Resource limits: those of the job, and those that every sandbox has.

use super::LayerError;
use codejail_protocol::job::Limits;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Its name, as the configuration's key.
pub const LAYER: &str = "rlimits";

/// Descriptors that a worker may have. It has one for each of its sandboxes (`SANDBOXES_MAX`).
const DESCRIPTORS_MAX: u64 = 1024;

/// Signals that may be pending for a sandbox's user; each takes some 80 bytes of kernel memory.
/// Without the limit, a run that blocks a real-time signal and sends it to itself could have many
/// more. It is enough for every program: other signals are pending once each.
const SIGNALS_MAX: u64 = 1024;

/// Bytes that a process may dump as core, lock into memory, or have in message queues. No sandbox
/// needs any.
const NOTHING: u64 = 0;

/// Sets the limits that hold from the start, before any job is known.
pub fn set_fixed() -> Result<(), LayerError> {
    set(Resource::RLIMIT_CORE, NOTHING, NOTHING)?;
    set(Resource::RLIMIT_MEMLOCK, NOTHING, NOTHING)?;
    set(Resource::RLIMIT_MSGQUEUE, NOTHING, NOTHING)?;
    set(Resource::RLIMIT_NOFILE, DESCRIPTORS_MAX, DESCRIPTORS_MAX)
}

/// Sets the limits that hold for a sandbox before its job. The kernel counts pending signals by
/// user, and a timer counts as one. A run gets at most half of the signals that its user may have
/// pending. So where runs share a user, half is left for the timers of the others.
pub fn set_for_sandbox(descriptors_max: u64) -> Result<(), LayerError> {
    set(Resource::RLIMIT_NOFILE, descriptors_max, descriptors_max)?;
    let resource = Resource::RLIMIT_SIGPENDING;
    let (signals, _) = getrlimit(resource).map_err(LayerError::at(LAYER, name(resource)))?;
    let signals = SIGNALS_MAX.min(signals / 2);
    set(resource, signals, signals)
}

/// Sets the job's limits. This comes as late as possible: all that the process does from here on
/// counts. `image_bytes` is the address space of the warm image. `others` is the number of tasks
/// that share the sandbox's uid, and so its NPROC.
pub fn set_for_job(limits: &Limits, image_bytes: u64, others: u64) -> Result<(), LayerError> {
    if limits.cpu_s != 0 {
        // SIGXCPU at the soft limit is the original's -24. A second later the kernel kills.
        set(
            Resource::RLIMIT_CPU,
            limits.cpu_s,
            limits.cpu_s.saturating_add(1),
        )?;
    }
    if limits.vmem_bytes != 0 {
        let bytes = limits.vmem_bytes.saturating_add(image_bytes);
        set(Resource::RLIMIT_AS, bytes, bytes)?;
    }
    if limits.nproc != 0 {
        let tasks = limits.nproc.saturating_add(others);
        set(Resource::RLIMIT_NPROC, tasks, tasks)?;
    }
    set(
        Resource::RLIMIT_FSIZE,
        limits.fsize_bytes,
        limits.fsize_bytes,
    )
}

fn set(resource: Resource, soft: u64, hard: u64) -> Result<(), LayerError> {
    setrlimit(resource, soft, hard).map_err(LayerError::at(LAYER, name(resource)))
}

fn name(resource: Resource) -> &'static str {
    match resource {
        Resource::RLIMIT_CORE => "RLIMIT_CORE",
        Resource::RLIMIT_CPU => "RLIMIT_CPU",
        Resource::RLIMIT_AS => "RLIMIT_AS",
        Resource::RLIMIT_FSIZE => "RLIMIT_FSIZE",
        Resource::RLIMIT_MEMLOCK => "RLIMIT_MEMLOCK",
        Resource::RLIMIT_MSGQUEUE => "RLIMIT_MSGQUEUE",
        Resource::RLIMIT_NOFILE => "RLIMIT_NOFILE",
        Resource::RLIMIT_NPROC => "RLIMIT_NPROC",
        Resource::RLIMIT_SIGPENDING => "RLIMIT_SIGPENDING",
        _ => "setrlimit",
    }
}
