//! The seccomp layer: an allow-list of system calls, with rules on the arguments of some.
//!
//! A filter has one errno for all that it denies; where two deny a call, the newest decides the errno
//! (seccomp(2)). The worker installs the allow-list, which answers EACCES as the original's AppArmor
//! does, and over it what shall look absent, ENOSYS. Its sandboxes inherit both and add little, which
//! matters because the kernel runs a new filter over every call number to know what it can skip
//! (0.4 ms for the allow-list, Linux 6.18): what only the worker may do, EACCES, and forks, EAGAIN;
//! last, when the job is in place, what only the locking down needed. x32 calls carry a bit that no
//! listed number has; another architecture's calls (int 0x80) kill the process.

use super::LayerError;
use super::syscalls::{
    ABSENT, FORKS, Group, OWNERSHIP, OWNERSHIP_LEGACY, SANDBOX, SANDBOX_LEGACY, SETUP, UNKNOWN,
    WORKER,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Is, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter,
};
use std::collections::BTreeMap;

/// Its name, as the configuration's key.
pub const LAYER: &str = "seccomp";

/// glibc's pthread_create, exactly: CLONE_VM|FS|FILES|SIGHAND|THREAD|SYSVSEM|SETTLS|PARENT_SETTID|
/// CHILD_CLEARTID (sysdeps/unix/sysv/linux/createthread.c, glibc 2.31 to 2.41).
const THREAD_FLAGS: u64 = 0x003d_0f00;

/// What `ioctl` may ask: size of input, blocking mode, close on exec, terminal attributes and size.
const IOCTLS: &[u64] = &[
    libc::FIONREAD,
    libc::FIONBIO,
    libc::FIOCLEX,
    libc::FIONCLEX,
    libc::TCGETS,
    libc::TIOCGWINSZ,
];

/// What `setsockopt` may set, at the level of the socket itself: sizes, waits, credentials that come along. Not
/// a filter program, which the kernel would run (SO_ATTACH_FILTER), nor a mark or a priority.
const SOCKET_OPTIONS: &[i32] = &[
    libc::SO_REUSEADDR,
    libc::SO_BROADCAST,
    libc::SO_SNDBUF,
    libc::SO_RCVBUF,
    libc::SO_KEEPALIVE,
    libc::SO_LINGER,
    libc::SO_REUSEPORT,
    libc::SO_PASSCRED,
    libc::SO_RCVLOWAT,
    libc::SO_RCVTIMEO,
    libc::SO_SNDTIMEO,
];

/// What `fcntl` may ask; not who gets signals (F_SETOWN, F_SETSIG), pipe sizes or leases.
const FCNTLS: &[i32] = &[
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_GETLK,
    libc::F_SETLK,
    libc::F_SETLKW,
    libc::F_OFD_GETLK,
    libc::F_OFD_SETLK,
    libc::F_OFD_SETLKW,
    libc::F_GETPIPE_SZ,
];

/// What `prctl` may ask: names for threads and mappings, capability questions, no new privileges.
const PRCTLS: &[i32] = &[
    libc::PR_SET_NAME,
    libc::PR_GET_NAME,
    libc::PR_SET_VMA,
    libc::PR_CAPBSET_READ,
    libc::PR_GET_DUMPABLE,
    libc::PR_GET_NO_NEW_PRIVS,
    libc::PR_SET_NO_NEW_PRIVS,
];

/// What `prctl` may ask besides, until the last filter: leaving a group undoes both.
const SETUP_PRCTLS: &[i32] = &[libc::PR_SET_DUMPABLE, libc::PR_SET_PDEATHSIG];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The filters that are the same for each sandbox, compiled once.
#[derive(Debug)]
pub struct Filters {
    worker_only: BpfProgram,
    forks: BpfProgram,
    closing: BpfProgram,
}

/// Stands for the sandbox's own pid in a filter that is compiled ahead; above what the kernel gives out
/// (PID_MAX_LIMIT, 2^22, linux/threads.h).
const OWN_PID: u32 = u32::MAX - 1;

impl Filters {
    /// Compiles them.
    pub fn compile() -> Result<Self, LayerError> {
        let mut worker_only = any_argument(&[WORKER]);
        worker_only.insert(libc::SYS_setresuid, vec![]);
        let prctls = signed(PRCTLS).chain(signed(SETUP_PRCTLS));
        worker_only.insert(libc::SYS_prctl, none_of(0, prctls)?);
        let mut forks: Rules = FORKS.iter().map(|call| (*call, vec![])).collect();
        forks.insert(libc::SYS_clone, none_of(0, [THREAD_FLAGS])?);
        Ok(Self {
            worker_only: deny(worker_only, libc::EACCES)?,
            forks: deny(forks, libc::EAGAIN)?,
            closing: compile_closing()?,
        })
    }

    /// Confines a sandbox, first stage, over its worker's filters.
    pub fn confine_sandbox(&self) -> Result<(), LayerError> {
        apply(&self.worker_only)?;
        apply(&self.forks)
    }

    /// The last stage for the calling process.
    pub fn closing(&self) -> Closing {
        let own_pid = std::process::id();
        let mut program = self.closing.clone();
        for instruction in &mut program {
            if instruction.k == OWN_PID {
                instruction.k = own_pid;
            }
        }
        Closing(program)
    }
}

fn compile_closing() -> Result<BpfProgram, LayerError> {
    let mut rules = any_argument(&[SETUP]);
    rules.insert(libc::SYS_prctl, one_of(0, signed(SETUP_PRCTLS))?);
    for call in [libc::SYS_kill, libc::SYS_tgkill] {
        rules.insert(call, none_of(0, [OWN_PID.into()])?);
    }
    deny(rules, libc::EACCES)
}

/// The last stage, compiled ahead: what the locking down needed goes, and signals reach only the
/// sandbox itself.
#[derive(Debug)]
pub struct Closing(BpfProgram);

impl Closing {
    /// Enforces it.
    pub fn enforce(&self) -> Result<(), LayerError> {
        apply(&self.0)
    }
}

/// Confines a worker, and with it all its sandboxes: to what they may do and what it takes to make
/// them. `sandbox_uids` are the only ones it can become; `landlock_truncates` says that Landlock
/// guards truncation by path, so that this layer need not.
pub fn confine_worker(
    sandbox_uids: Option<(u32, u32)>,
    landlock_truncates: bool,
) -> Result<(), LayerError> {
    let mut rules = any_argument(&[SANDBOX, SANDBOX_LEGACY, SETUP, WORKER]);
    if sandbox_uids.is_some() {
        rules.extend(any_argument(&[OWNERSHIP, OWNERSHIP_LEGACY]));
    }
    restrict_arguments(&mut rules, landlock_truncates)?;
    // Any fork, but never into a namespace: CLONE_NEW* are these bits (linux/sched.h).
    const NAMESPACES: u64 = 0x7e02_0000;
    rules.insert(
        libc::SYS_clone,
        vec![all(vec![when(0, Is::MaskedEq(NAMESPACES), 0)?])?],
    );
    for call in [libc::SYS_kill, libc::SYS_tgkill, libc::SYS_prctl] {
        rules.insert(call, vec![]);
    }
    if let Some((first, last)) = sandbox_uids {
        rules.insert(libc::SYS_setresuid, all_three_within(first, last)?);
        // The worker's own group, the number before its sandboxes', stays the effective one at first.
        rules.insert(libc::SYS_setresgid, all_three_within(first - 1, last)?);
    }
    apply(&allow(rules)?)?;
    let absent = ABSENT
        .iter()
        .copied()
        .chain(UNKNOWN)
        .map(|call| (call, vec![]));
    apply(&deny(absent.collect(), libc::ENOSYS)?)
}

fn all_three_within(first: u32, last: u32) -> Result<Vec<SeccompRule>, LayerError> {
    let mut conditions = Vec::new();
    for argument in 0..3 {
        conditions.push(when(argument, Is::Ge, first.into())?);
        conditions.push(when(argument, Is::Le, last.into())?);
    }
    Ok(vec![all(conditions)?])
}

fn any_argument(lists: &[&[Group]]) -> Rules {
    let groups = lists.iter().flat_map(|list| list.iter());
    groups
        .flat_map(|(_reason, calls)| calls.iter().map(|call| (*call, vec![])))
        .collect()
}

/// Adds the calls that are allowed with some arguments only.
fn restrict_arguments(rules: &mut Rules, landlock_truncates: bool) -> Result<(), LayerError> {
    rules.insert(libc::SYS_ioctl, one_of(1, IOCTLS.iter().copied())?);
    rules.insert(libc::SYS_fcntl, one_of(1, signed(FCNTLS))?);
    for call in [libc::SYS_socket, libc::SYS_socketpair] {
        rules.insert(call, one_of(0, signed(&[libc::AF_UNIX]))?);
    }
    let of_socket = |option| {
        let socket = when(1, Is::Eq, libc::SOL_SOCKET as u64)?;
        all(vec![socket, when(2, Is::Eq, option)?])
    };
    let options: Result<_, _> = signed(SOCKET_OPTIONS).map(of_socket).collect();
    rules.insert(libc::SYS_setsockopt, options?);
    // No address (argument 4) means the peer of a connected pair.
    let nowhere = SeccompCondition::new(4, Len::Qword, Is::Eq, 0).map_err(compile_error())?;
    rules.insert(libc::SYS_sendto, vec![all(vec![nowhere])?]);
    // Plain files, pipes and sockets, no devices. Landlock denies them too, but not every kernel's (Debian's
    // 6.12.117) the one that leads nowhere, 0:0, which takes no privilege.
    let kinds = [0, libc::S_IFREG, libc::S_IFIFO, libc::S_IFSOCK];
    rules.insert(libc::SYS_mknodat, masked(2, libc::S_IFMT.into(), kinds)?);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_mknod, masked(1, libc::S_IFMT.into(), kinds)?);
    // No flags: KEEP_SIZE would take disk space past the limit on a file's size.
    rules.insert(libc::SYS_fallocate, one_of(1, [0])?);
    // Itself by the number 0, or by its own pid where libraries say so: never others, by ownership.
    rules.insert(libc::SYS_prlimit64, one_of(0, [0])?);
    // Opened only to read and yet emptied: Landlock before ABI 3 lets that pass.
    let emptied = (libc::O_TRUNC | libc::O_ACCMODE) as u64;
    let is_emptied = |argument| when_not_masked(argument, emptied, libc::O_TRUNC as u64);
    rules.insert(libc::SYS_openat, is_emptied(2)?);
    #[cfg(target_arch = "x86_64")]
    {
        rules.insert(libc::SYS_open, is_emptied(1)?);
        rules.insert(libc::SYS_creat, vec![]);
    }
    if landlock_truncates {
        rules.insert(libc::SYS_truncate, vec![]);
    }
    Ok(())
}

fn signed(values: &[i32]) -> impl Iterator<Item = u64> {
    values.iter().map(|value| u64::from(value.cast_unsigned()))
}

fn one_of(
    argument: u8,
    values: impl IntoIterator<Item = u64>,
) -> Result<Vec<SeccompRule>, LayerError> {
    values
        .into_iter()
        .map(|value| all(vec![when(argument, Is::Eq, value)?]))
        .collect()
}

/// Matches values whose masked bits are one of these.
fn masked(
    argument: u8,
    mask: u64,
    values: impl IntoIterator<Item = u32>,
) -> Result<Vec<SeccompRule>, LayerError> {
    values
        .into_iter()
        .map(|value| all(vec![when(argument, Is::MaskedEq(mask), value.into())?]))
        .collect()
}

/// Matches every value but these.
fn none_of(
    argument: u8,
    values: impl IntoIterator<Item = u64>,
) -> Result<Vec<SeccompRule>, LayerError> {
    let conditions = values
        .into_iter()
        .map(|value| when(argument, Is::Ne, value));
    Ok(vec![all(conditions.collect::<Result<_, _>>()?)?])
}

/// Allows every value but those whose masked bits are `value`: seccompiler has no masked "not
/// equal", so it lists the other values that the masked bits can have.
fn when_not_masked(argument: u8, mask: u64, value: u64) -> Result<Vec<SeccompRule>, LayerError> {
    submasks(mask)
        .filter(|bits| *bits != value)
        .map(|bits| all(vec![when(argument, Is::MaskedEq(mask), bits)?]))
        .collect()
}

/// Every value that can remain under `mask`.
fn submasks(mask: u64) -> impl Iterator<Item = u64> {
    let below = move |bits: &u64| bits.checked_sub(1).map(|less| less & mask);
    std::iter::successors(Some(mask), below)
}

fn when(argument: u8, is: Is, value: u64) -> Result<SeccompCondition, LayerError> {
    SeccompCondition::new(argument, Len::Dword, is, value).map_err(compile_error())
}

fn all(conditions: Vec<SeccompCondition>) -> Result<SeccompRule, LayerError> {
    SeccompRule::new(conditions).map_err(compile_error())
}

fn allow(rules: Rules) -> Result<BpfProgram, LayerError> {
    let denied = SeccompAction::Errno(libc::EACCES.cast_unsigned());
    compile(rules, denied, SeccompAction::Allow)
}

fn deny(rules: Rules, errno: i32) -> Result<BpfProgram, LayerError> {
    let denied = SeccompAction::Errno(errno.cast_unsigned());
    compile(rules, SeccompAction::Allow, denied)
}

fn compile(
    rules: Rules,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, LayerError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(compile_error())?;
    SeccompFilter::new(rules, otherwise, matched, arch)
        .and_then(BpfProgram::try_from)
        .map_err(compile_error())
}

fn apply(program: &BpfProgram) -> Result<(), LayerError> {
    apply_filter(program).map_err(LayerError::at(LAYER, "install a filter"))
}

fn compile_error<E: std::fmt::Display>() -> impl FnOnce(E) -> LayerError {
    LayerError::at(LAYER, "compile a filter")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submasks_are_all_values_under_a_mask() {
        let mut found: Vec<u64> = submasks(0b1010).collect();
        found.sort_unstable();
        assert_eq!(found, [0, 0b10, 0b1000, 0b1010]);
    }

    #[test]
    fn the_last_filter_names_the_own_pid_wherever_one_is_compared() {
        let filters = Filters::compile().unwrap();
        let count = |program: &BpfProgram, k| program.iter().filter(|each| each.k == k).count();
        assert_eq!(count(&filters.closing, OWN_PID), 2, "kill and tgkill");
        let closing = filters.closing();
        assert_eq!(count(&closing.0, OWN_PID), 0);
        assert_eq!(count(&closing.0, std::process::id()), 2);
    }

    #[test]
    fn the_lists_do_not_allow_what_another_list_calls_absent() {
        let allowed = any_argument(&[SANDBOX, SANDBOX_LEGACY, SETUP, WORKER]);
        for call in ABSENT.iter().copied().chain(UNKNOWN) {
            assert!(!allowed.contains_key(&call), "{call}");
        }
    }
}
