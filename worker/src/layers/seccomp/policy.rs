//! Which system calls each filter allows or denies, and the rules on their arguments, each with its
//! reason. This file installs no filter.

use super::LayerError;
use super::compile::{
    Rules, all, any_argument, any_argument_of, none_of, one_of, signed, when, when_whole,
};
use super::syscalls::{FORKS, OWNERSHIP, OWNERSHIP_LEGACY, SANDBOX, SANDBOX_LEGACY, SETUP, WORKER};
use super::{effects, files};
use seccompiler::{SeccompCmpOp as Is, SeccompRule};

/// Exactly the flags of glibc's pthread_create:
/// CLONE_VM|FS|FILES|SIGHAND|THREAD|SYSVSEM|SETTLS|PARENT_SETTID|CHILD_CLEARTID
/// (sysdeps/unix/sysv/linux/createthread.c, glibc 2.31 to 2.41).
const THREAD_FLAGS: u64 = 0x003d_0f00;

/// The flags of musl, which adds CLONE_DETACHED (src/thread/pthread_create.c). The kernel ignores
/// that flag.
const MUSL_THREAD_FLAGS: u64 = THREAD_FLAGS | 0x0040_0000;

/// What `ioctl` may do: ask for the size of input, set blocking mode and close on exec, ask for
/// attributes and size of a terminal.
const IOCTLS: &[u64] = &[
    libc::FIONREAD,
    libc::FIONBIO,
    libc::FIOCLEX,
    libc::FIONCLEX,
    libc::TCGETS,
    libc::TIOCGWINSZ,
];

/// Advice that `madvise` may give on the process's own memory. MADV_MERGEABLE is missing: with it
/// the kernel compares pages of different processes. MADV_COLD and MADV_PAGEOUT are missing: they
/// can take a library out of memory for everybody. MADV_COLLAPSE is for the worker alone
/// (`huge_pages.rs`).
const ADVICE: &[i32] = &[
    libc::MADV_NORMAL,
    libc::MADV_RANDOM,
    libc::MADV_SEQUENTIAL,
    libc::MADV_WILLNEED,
    libc::MADV_DONTNEED,
    libc::MADV_FREE,
    libc::MADV_REMOVE,
    libc::MADV_DONTFORK,
    libc::MADV_DOFORK,
    libc::MADV_UNMERGEABLE,
    libc::MADV_HUGEPAGE,
    libc::MADV_NOHUGEPAGE,
    libc::MADV_DONTDUMP,
    libc::MADV_DODUMP,
    libc::MADV_WIPEONFORK,
    libc::MADV_KEEPONFORK,
    libc::MADV_POPULATE_READ,
    libc::MADV_POPULATE_WRITE,
    MADV_GUARD_INSTALL,
    MADV_GUARD_REMOVE,
    libc::MADV_COLLAPSE,
];

/// Linux 6.13. glibc 2.42 guards the stacks of threads with it (asm-generic/mman-common.h).
pub const MADV_GUARD_INSTALL: i32 = 102;
pub const MADV_GUARD_REMOVE: i32 = 103;

/// What `membarrier` may do: ask what there is, and order the process's own threads.
/// MEMBARRIER_CMD_GLOBAL_EXPEDITED is missing: it interrupts the processors of others
/// (linux/membarrier.h).
const BARRIERS: &[i32] = &[
    libc::MEMBARRIER_CMD_QUERY,
    libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED,
    libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
];

/// What `arch_prctl` may do: set and read the bases of FS and GS, and ask for the AMX unit, which
/// libraries of linear algebra do (asm/prctl.h).
#[cfg(target_arch = "x86_64")]
const ARCH_PRCTLS: &[u64] = &[
    0x1001, // ARCH_SET_GS
    0x1002, // ARCH_SET_FS
    0x1003, // ARCH_GET_FS
    0x1004, // ARCH_GET_GS
    0x1021, // ARCH_GET_XCOMP_SUPP
    0x1022, // ARCH_GET_XCOMP_PERM
    0x1023, // ARCH_REQ_XCOMP_PERM
];

/// Options that `setsockopt` may set on the socket itself. They concern that socket alone, and all
/// sockets of a run are unix sockets. SO_ATTACH_FILTER is missing: the kernel would run the run's
/// program. Marks and priorities are missing too.
const SOCKET_OPTIONS: &[i32] = &[
    libc::SO_REUSEADDR,
    libc::SO_BROADCAST,
    libc::SO_KEEPALIVE,
    libc::SO_LINGER,
    libc::SO_REUSEPORT,
    libc::SO_PASSCRED,
    libc::SO_RCVLOWAT,
    libc::SO_RCVTIMEO,
    libc::SO_SNDTIMEO,
];

/// What `fcntl` may do. It may not choose a process that gets signals (F_SETOWN, F_SETSIG), set the
/// size of a pipe, or take a lease. F_SETFL is in `files.rs`. Locks are in `effects.rs`: a run
/// never has a lock, so F_GETLK finds none of its own. F_ADD_SEALS is for the worker alone
/// (`image/mod.rs`).
const FCNTLS: &[i32] = &[
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_GETLK,
    libc::F_OFD_GETLK,
    libc::F_GETPIPE_SZ,
    libc::F_ADD_SEALS,
];

/// What `prctl` may do: name threads and mappings, ask for capabilities, set no_new_privs.
const PRCTLS: &[i32] = &[
    libc::PR_SET_NAME,
    libc::PR_GET_NAME,
    libc::PR_SET_VMA,
    libc::PR_CAPBSET_READ,
    libc::PR_GET_DUMPABLE,
    libc::PR_GET_NO_NEW_PRIVS,
    libc::PR_SET_NO_NEW_PRIVS,
];

/// What `prctl` may also do until the last filter is installed. When the sandbox leaves its
/// worker's group, the kernel resets both settings, so the sandbox sets them again.
const SETUP_PRCTLS: &[i32] = &[libc::PR_SET_DUMPABLE, libc::PR_SET_PDEATHSIG];

/// `which` of `setpriority` for one process (sys/resource.h).
const PRIO_PROCESS: u64 = 0;

/// Stands for the sandbox's own pid in a filter that is compiled ahead. It is larger than any pid
/// (PID_MAX_LIMIT, 2^22, linux/threads.h).
pub const OWN_PID: u32 = u32::MAX - 1;

/// What a worker and all its sandboxes may do: see `confine_worker`.
pub fn allowed(
    sandbox_uids: Option<(u32, u32)>,
    user_namespaces: bool,
    landlock_truncates: bool,
) -> Result<Rules, LayerError> {
    let mut rules = any_argument(&[SANDBOX, SANDBOX_LEGACY, SETUP, WORKER]);
    if sandbox_uids.is_some() {
        rules.extend(any_argument(&[OWNERSHIP, OWNERSHIP_LEGACY]));
        files::change_modes(&mut rules)?;
    }
    files::make_and_read(&mut rules)?;
    files::open_and_truncate(&mut rules, landlock_truncates)?;
    restrict_arguments(&mut rules)?;
    // A fork is allowed, but never into a namespace: CLONE_NEW* are these bits (linux/sched.h).
    const NAMESPACES: u64 = 0x7e02_0000;
    rules.insert(
        libc::SYS_clone,
        vec![all(vec![when(0, Is::MaskedEq(NAMESPACES), 0)?])?],
    );
    if user_namespaces {
        // No other flag is allowed, and `worker_only` denies this one to sandboxes.
        let new_user = signed(&[libc::CLONE_NEWUSER]);
        rules.insert(libc::SYS_unshare, one_of(0, new_user)?);
    }
    for call in [libc::SYS_kill, libc::SYS_tgkill, libc::SYS_prctl] {
        rules.insert(call, vec![]);
    }
    if let Some((first, last)) = sandbox_uids {
        rules.insert(libc::SYS_setresuid, all_three_within(first, last)?);
        // The worker's own group has the number before its sandboxes' groups. At first it stays the
        // effective group of a sandbox.
        rules.insert(libc::SYS_setresgid, all_three_within(first - 1, last)?);
    }
    Ok(rules)
}

/// What the worker may do, and its sandboxes may not.
pub fn worker_only() -> Result<Rules, LayerError> {
    let mut rules = any_argument(&[WORKER]);
    rules.insert(libc::SYS_setresuid, vec![]);
    rules.insert(libc::SYS_unshare, vec![]);
    let prctls = signed(PRCTLS).chain(signed(SETUP_PRCTLS));
    rules.insert(libc::SYS_prctl, none_of(0, prctls)?);
    rules.insert(
        libc::SYS_madvise,
        one_of(2, signed(&[libc::MADV_COLLAPSE]))?,
    );
    rules.insert(libc::SYS_fcntl, one_of(1, signed(&[libc::F_ADD_SEALS]))?);
    Ok(rules)
}

/// Calls that make processes. Threads are not processes.
pub fn forks() -> Result<Rules, LayerError> {
    let mut rules = any_argument_of(FORKS);
    rules.insert(
        libc::SYS_clone,
        none_of(0, [THREAD_FLAGS, MUSL_THREAD_FLAGS])?,
    );
    Ok(rules)
}

/// The calls that the last filter denies: calls that only the locking down of a sandbox needs, and
/// signals to other processes.
pub fn locking_down() -> Result<Rules, LayerError> {
    let mut rules = any_argument(&[SETUP]);
    rules.insert(libc::SYS_prctl, one_of(0, signed(SETUP_PRCTLS))?);
    for call in [libc::SYS_kill, libc::SYS_tgkill] {
        rules.insert(call, none_of(0, [OWN_PID.into()])?);
    }
    Ok(rules)
}

fn all_three_within(first: u32, last: u32) -> Result<Vec<SeccompRule>, LayerError> {
    let mut conditions = Vec::new();
    for argument in 0..3 {
        conditions.push(when(argument, Is::Ge, first.into())?);
        conditions.push(when(argument, Is::Le, last.into())?);
    }
    Ok(vec![all(conditions)?])
}

/// Adds the calls that are allowed with some arguments only.
fn restrict_arguments(rules: &mut Rules) -> Result<(), LayerError> {
    rules.insert(libc::SYS_ioctl, one_of(1, IOCTLS.iter().copied())?);
    let mut fcntls = one_of(1, signed(FCNTLS))?;
    fcntls.push(files::may_set_flags()?);
    rules.insert(libc::SYS_fcntl, fcntls);
    let advice = signed(&[libc::POSIX_FADV_DONTNEED]);
    rules.insert(libc::SYS_fadvise64, none_of(3, advice)?);
    for call in [libc::SYS_socket, libc::SYS_socketpair] {
        rules.insert(call, one_of(0, signed(&[libc::AF_UNIX]))?);
    }
    let options: Result<_, _> = signed(SOCKET_OPTIONS).map(effects::of_socket).collect();
    rules.insert(libc::SYS_setsockopt, options?);
    // Without an address (argument 4) the message goes to the peer of a connected pair.
    let nowhere = when_whole(4, Is::Eq, 0)?;
    rules.insert(libc::SYS_sendto, vec![all(vec![nowhere])?]);
    // Without flags: KEEP_SIZE would take disk space beyond the limit on a file's size.
    rules.insert(libc::SYS_fallocate, one_of(1, [0])?);
    // The number 0 means the process itself. A library that gives its own pid instead is refused.
    rules.insert(libc::SYS_prlimit64, one_of(0, [0])?);
    rules.insert(libc::SYS_madvise, one_of(2, signed(ADVICE))?);
    rules.insert(libc::SYS_membarrier, one_of(0, signed(BARRIERS))?);
    #[cfg(target_arch = "x86_64")]
    rules.insert(
        libc::SYS_arch_prctl,
        one_of(0, ARCH_PRCTLS.iter().copied())?,
    );
    // `nice` for the process itself, by the number 0. It can only lower its priority.
    let of_itself = vec![when(0, Is::Eq, PRIO_PROCESS)?, when(1, Is::Eq, 0)?];
    rules.insert(libc::SYS_setpriority, vec![all(of_itself)?]);
    Ok(())
}
