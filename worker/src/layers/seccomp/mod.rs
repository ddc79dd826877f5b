//! The seccomp layer: an allow-list of system calls, with rules on the arguments of some.
//!
//! `syscalls.rs` has the list, `costs.rs` what the calls cost others. `policy.rs` and `files.rs`
//! have the rules on arguments, `effects.rs` the calls that succeed and do nothing, `long.rs` the
//! calls that would go on after a kill. `compile.rs` makes filters of them. This file says which
//! process installs which filter, and when.
//!
//! A filter has one errno for all calls that it denies. Where two filters deny a call, the newer
//! one decides the errno (seccomp(2)). When a filter is installed, the kernel runs it over every
//! call number to learn what it can skip (0.4 ms for the allow-list, Linux 6.18). So the worker
//! installs the long list once:
//!
//! | who, when | filter | errno |
//! |---|---|---|
//! | worker | what is not on the allow-list | EACCES, as the original's AppArmor answers |
//! | worker | what shall look absent | ENOSYS |
//! | worker | what would go on for long after a kill | ENOMEM |
//! | worker | what shall succeed without an effect | none: 0 |
//! | sandbox, before its job | what only the worker may do | EACCES |
//! | sandbox, before its job | what makes processes | EAGAIN |
//! | sandbox, when its job is in place | what only the locking down needed | EACCES |
//!
//! Sandboxes inherit the worker's filters. x32 calls carry a bit that no listed number has; another
//! architecture's calls (int 0x80) kill the process.

mod compile;
#[cfg(test)]
mod costs;
mod effects;
mod files;
mod long;
mod policy;
mod syscalls;

use super::LayerError;
use compile::{allow, any_argument_of, apply, deny, deny_range_too};
use policy::OWN_PID;
use seccompiler::BpfProgram;
use syscalls::{ABSENT, UNKNOWN};

/// Its name, as the configuration's key.
pub const LAYER: &str = "seccomp";

/// The filters that are the same for each sandbox, compiled once.
#[derive(Debug)]
pub struct Filters {
    worker_only: BpfProgram,
    forks: BpfProgram,
    last: BpfProgram,
}

impl Filters {
    /// Compiles them.
    pub fn compile() -> Result<Self, LayerError> {
        Ok(Self {
            worker_only: deny(policy::worker_only()?, libc::EACCES)?,
            forks: deny(policy::forks()?, libc::EAGAIN)?,
            last: deny(policy::locking_down()?, libc::EACCES)?,
        })
    }

    /// Confines a sandbox, first stage. Its worker's filters stay in force.
    pub fn confine_sandbox(&self) -> Result<(), LayerError> {
        apply(&self.worker_only)?;
        apply(&self.forks)
    }

    /// The last stage for the calling process. It holds that process's pid.
    pub fn last_stage(&self) -> SeccompFinal {
        let own_pid = std::process::id();
        let mut program = self.last.clone();
        for instruction in &mut program {
            if instruction.k == OWN_PID {
                instruction.k = own_pid;
            }
        }
        SeccompFinal(program)
    }
}

/// The last stage, compiled ahead. It denies the calls that only the locking down needed, and
/// signals to other processes.
#[derive(Debug)]
pub struct SeccompFinal(BpfProgram);

impl SeccompFinal {
    /// Enforces it.
    pub fn enforce(&self) -> Result<(), LayerError> {
        apply(&self.0)
    }
}

/// Confines a worker, and with it all its sandboxes. Its filters allow what sandboxes may do, and
/// what the worker needs to make them. The process can become only `sandbox_uids`.
/// `user_namespaces` says that each sandbox enters a user namespace. `landlock_truncates` says that
/// Landlock guards truncation by path, so that this layer need not.
pub fn confine_worker(
    sandbox_uids: Option<(u32, u32)>,
    user_namespaces: bool,
    landlock_truncates: bool,
) -> Result<(), LayerError> {
    let allowed = policy::allowed(sandbox_uids, user_namespaces, landlock_truncates)?;
    apply(&allow(allowed)?)?;
    apply(&absent()?)?;
    apply(&too_long()?)?;
    apply(&without_effect()?)
}

/// Denies calls that shall look as if the kernel did not have them.
fn absent() -> Result<BpfProgram, LayerError> {
    let listed = deny(any_argument_of(ABSENT), libc::ENOSYS)?;
    deny_range_too(listed, UNKNOWN, libc::ENOSYS)
}

/// Denies calls that shall look as if memory were short.
fn too_long() -> Result<BpfProgram, LayerError> {
    deny(long::rules()?, libc::ENOMEM)
}

/// Answers calls as if they had succeeded, but the kernel does nothing. The errno 0 is the answer 0
/// (seccomp(2)).
fn without_effect() -> Result<BpfProgram, LayerError> {
    deny(effects::rules()?, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_list_allows_what_another_list_calls_absent() {
        let allowed = policy::allowed(Some((1001, 1002)), true, true).unwrap();
        for call in ABSENT.iter().copied().chain(UNKNOWN.map(i64::from)) {
            assert!(!allowed.contains_key(&call), "{call}");
        }
    }

    #[test]
    fn the_longest_filter_fits_into_the_kernels_bound() {
        // BPF_MAXINSNS of linux/bpf_common.h.
        const INSTRUCTIONS_MAX: usize = 4096;
        let longest = allow(policy::allowed(Some((1001, 1002)), true, true).unwrap()).unwrap();
        assert!(longest.len() < INSTRUCTIONS_MAX / 2, "{}", longest.len());
        assert!(absent().unwrap().len() < 100);
    }

    #[test]
    fn the_last_filter_names_the_own_pid_wherever_one_is_compared() {
        let filters = Filters::compile().unwrap();
        let count = |program: &BpfProgram, k| program.iter().filter(|each| each.k == k).count();
        assert_eq!(count(&filters.last, OWN_PID), 2, "kill and tgkill");
        let last = filters.last_stage();
        assert_eq!(count(&last.0, OWN_PID), 0);
        assert_eq!(count(&last.0, std::process::id()), 2);
    }
}
