//! Which system calls each filter allows or denies, and the rules on their arguments, each with its
//! reason. It installs nothing.

use super::LayerError;
use super::compile::{
    Rules, all, any_argument, any_argument_of, none_of, one_of, signed, when, when_whole,
};
use super::syscalls::{FORKS, OWNERSHIP, OWNERSHIP_LEGACY, SANDBOX, SANDBOX_LEGACY, SETUP, WORKER};
use super::{effects, files};
use seccompiler::{SeccompCmpOp as Is, SeccompRule};

/// glibc's pthread_create, exactly: CLONE_VM|FS|FILES|SIGHAND|THREAD|SYSVSEM|SETTLS|PARENT_SETTID|
/// CHILD_CLEARTID (sysdeps/unix/sysv/linux/createthread.c, glibc 2.31 to 2.41).
const THREAD_FLAGS: u64 = 0x003d_0f00;

/// musl's, which adds CLONE_DETACHED (src/thread/pthread_create.c); the kernel ignores that flag.
const MUSL_THREAD_FLAGS: u64 = THREAD_FLAGS | 0x0040_0000;

/// What `ioctl` may ask: size of input, blocking mode, close on exec, terminal attributes and size.
const IOCTLS: &[u64] = &[
    libc::FIONREAD,
    libc::FIONBIO,
    libc::FIOCLEX,
    libc::FIONCLEX,
    libc::TCGETS,
    libc::TIOCGWINSZ,
];

/// What `madvise` may say of the process's own memory. Not MADV_MERGEABLE, with which the kernel
/// compares pages of different processes; not MADV_COLD and MADV_PAGEOUT, which can take a library
/// out of memory for everybody. MADV_COLLAPSE is the worker's (`huge_pages.rs`).
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

/// Linux 6.13; glibc 2.42 guards the stacks of threads so (asm-generic/mman-common.h).
pub const MADV_GUARD_INSTALL: i32 = 102;
pub const MADV_GUARD_REMOVE: i32 = 103;

/// What `membarrier` may do: ask, and order the process's own threads.
/// MEMBARRIER_CMD_GLOBAL_EXPEDITED interrupts the processors of others (linux/membarrier.h).
const BARRIERS: &[i32] = &[
    libc::MEMBARRIER_CMD_QUERY,
    libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED,
    libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
];

/// What `arch_prctl` may do: the bases of FS and GS, and the AMX unit that libraries of linear
/// algebra ask for (asm/prctl.h).
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

/// What `setsockopt` may set, at the level of the socket itself: waits, credentials that come
/// along. Not a filter program, which the kernel would run (SO_ATTACH_FILTER), nor a mark or a
/// priority.
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

/// What `fcntl` may ask; not who gets signals (F_SETOWN, F_SETSIG), pipe sizes or leases. F_SETFL
/// is in `files.rs`. Locks are in `effects.rs`, so that to ask for one (F_GETLK) finds none of a
/// run's. F_ADD_SEALS is the worker's (`image.rs`).
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

/// `setpriority` of one process (sys/resource.h).
const PRIO_PROCESS: u64 = 0;

/// Stands for the sandbox's own pid in a filter that is compiled ahead; above what the kernel gives
/// out (PID_MAX_LIMIT, 2^22, linux/threads.h).
pub const OWN_PID: u32 = u32::MAX - 1;

/// What a worker may do, and with it all its sandboxes: see `confine_worker`.
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
    // Any fork, but never into a namespace: CLONE_NEW* are these bits (linux/sched.h).
    const NAMESPACES: u64 = 0x7e02_0000;
    rules.insert(
        libc::SYS_clone,
        vec![all(vec![when(0, Is::MaskedEq(NAMESPACES), 0)?])?],
    );
    if user_namespaces {
        // None but that, and `worker_only` takes it away.
        let new_user = signed(&[libc::CLONE_NEWUSER]);
        rules.insert(libc::SYS_unshare, one_of(0, new_user)?);
    }
    for call in [libc::SYS_kill, libc::SYS_tgkill, libc::SYS_prctl] {
        rules.insert(call, vec![]);
    }
    if let Some((first, last)) = sandbox_uids {
        rules.insert(libc::SYS_setresuid, all_three_within(first, last)?);
        // The worker's own group, the number before its sandboxes', stays the effective one at
        // first.
        rules.insert(libc::SYS_setresgid, all_three_within(first - 1, last)?);
    }
    Ok(rules)
}

/// What only the worker may do, not its sandboxes.
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

/// What makes processes; threads are none.
pub fn forks() -> Result<Rules, LayerError> {
    let mut rules = any_argument_of(FORKS);
    rules.insert(
        libc::SYS_clone,
        none_of(0, [THREAD_FLAGS, MUSL_THREAD_FLAGS])?,
    );
    Ok(rules)
}

/// What only the locking down of a sandbox needs, and signals to others.
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
    // No address (argument 4) means the peer of a connected pair.
    let nowhere = when_whole(4, Is::Eq, 0)?;
    rules.insert(libc::SYS_sendto, vec![all(vec![nowhere])?]);
    // No flags: KEEP_SIZE would take disk space past the limit on a file's size.
    rules.insert(libc::SYS_fallocate, one_of(1, [0])?);
    // Its own limits, by the number 0. A library that gives its own pid instead is refused.
    rules.insert(libc::SYS_prlimit64, one_of(0, [0])?);
    rules.insert(libc::SYS_madvise, one_of(2, signed(ADVICE))?);
    rules.insert(libc::SYS_membarrier, one_of(0, signed(BARRIERS))?);
    #[cfg(target_arch = "x86_64")]
    rules.insert(
        libc::SYS_arch_prctl,
        one_of(0, ARCH_PRCTLS.iter().copied())?,
    );
    // `nice`, of itself by the number 0: it can only lower its own priority.
    let of_itself = vec![when(0, Is::Eq, PRIO_PROCESS)?, when(1, Is::Eq, 0)?];
    rules.insert(libc::SYS_setpriority, vec![all(of_itself)?]);
    Ok(())
}
