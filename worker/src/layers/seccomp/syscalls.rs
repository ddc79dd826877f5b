//! Which system calls sandboxes and workers may make, as data, each group with its reason.
//!
//! A call that is not in a list is denied. Calls with rules on their arguments are in `policy.rs`.
//! The lists were checked against traces of numpy, scipy, sympy, matplotlib, networkx, lxml,
//! cryptography, sqlite, asyncio and threads. Calls that only older architectures have are in lists
//! of their own.
//!
//! `costs.rs` says what these calls cost where no limit counts. CONTRIBUTING.md, "A system call
//! that sandboxes may make", says which tests a new call needs.

use libc::*;

/// Calls that are allowed for one reason.
pub type Group = (&'static str, &'static [c_long]);

/// Allowed with any arguments, for sandboxes and so for workers.
pub const SANDBOX: &[Group] = &[
    (
        "files: Landlock, ownership and AppArmor decide which",
        &[
            SYS_read,
            SYS_write,
            SYS_readv,
            SYS_writev,
            SYS_pread64,
            SYS_pwrite64,
            SYS_preadv,
            SYS_pwritev,
            SYS_lseek,
            SYS_close,
            SYS_close_range,
            SYS_fstat,
            SYS_newfstatat,
            SYS_statx,
            SYS_statfs,
            SYS_fstatfs,
            SYS_faccessat,
            SYS_faccessat2,
            SYS_readlinkat,
            SYS_getdents64,
            SYS_getcwd,
            SYS_chdir,
            SYS_fchdir,
            SYS_unlinkat,
            SYS_linkat,
            SYS_symlinkat,
            SYS_renameat,
            SYS_renameat2,
            SYS_umask,
            SYS_ftruncate,
            SYS_sendfile,
            SYS_copy_file_range,
        ],
    ),
    (
        "shutil.copystat reads extended attributes",
        &[
            SYS_getxattr,
            SYS_lgetxattr,
            SYS_fgetxattr,
            SYS_listxattr,
            SYS_llistxattr,
            SYS_flistxattr,
        ],
    ),
    (
        "descriptors of its own",
        &[SYS_dup, SYS_dup3, SYS_pipe2, SYS_eventfd2],
    ),
    (
        "its own memory",
        &[
            SYS_mmap,
            SYS_munmap,
            SYS_mprotect,
            SYS_mremap,
            SYS_brk,
            SYS_msync,
            SYS_get_mempolicy,
        ],
    ),
    (
        "its own signal handling",
        &[
            SYS_rt_sigaction,
            SYS_rt_sigprocmask,
            SYS_rt_sigreturn,
            SYS_rt_sigpending,
            SYS_rt_sigtimedwait,
            SYS_rt_sigsuspend,
            SYS_sigaltstack,
            SYS_setitimer,
            SYS_getitimer,
            SYS_restart_syscall,
        ],
    ),
    (
        "threads and locks between them",
        &[
            SYS_futex,
            SYS_set_robust_list,
            SYS_get_robust_list,
            SYS_rseq,
            SYS_set_tid_address,
            SYS_gettid,
            SYS_exit,
            SYS_exit_group,
            SYS_sched_yield,
            SYS_sched_getaffinity,
            SYS_sched_getparam,
            SYS_sched_getscheduler,
            SYS_sched_get_priority_max,
            SYS_sched_get_priority_min,
            SYS_sched_rr_get_interval,
        ],
    ),
    (
        "waiting for children: the answer is that there are none",
        &[SYS_wait4, SYS_waitid],
    ),
    (
        "reading the clock and sleeping",
        &[
            SYS_clock_gettime,
            SYS_clock_getres,
            SYS_clock_nanosleep,
            SYS_nanosleep,
            SYS_gettimeofday,
            SYS_times,
        ],
    ),
    (
        "reading what it is itself",
        &[
            SYS_getpid,
            SYS_getppid,
            SYS_getuid,
            SYS_geteuid,
            SYS_getgid,
            SYS_getegid,
            SYS_getgroups,
            SYS_getresuid,
            SYS_getresgid,
            SYS_getpgid,
            SYS_getsid,
            SYS_getpriority,
            SYS_getrusage,
            SYS_uname,
            SYS_sysinfo,
            SYS_getrandom,
            SYS_getcpu,
            SYS_getrlimit,
            SYS_capget,
        ],
    ),
    ("lowering its own limits", &[SYS_setrlimit]),
    (
        "waiting for its own descriptors",
        &[
            SYS_ppoll,
            SYS_pselect6,
            SYS_epoll_create1,
            SYS_epoll_ctl,
            SYS_epoll_pwait,
        ],
    ),
    (
        "unix sockets that nobody else can reach: no connect, no address to send to",
        &[
            SYS_bind,
            SYS_listen,
            SYS_accept,
            SYS_accept4,
            SYS_getsockname,
            SYS_getpeername,
            SYS_getsockopt,
            SYS_shutdown,
            SYS_recvfrom,
            SYS_recvmsg,
        ],
    ),
];

/// Older forms of the calls above, which glibc still uses on x86_64.
#[cfg(target_arch = "x86_64")]
pub const SANDBOX_LEGACY: &[Group] = &[(
    "older forms of allowed calls",
    &[
        SYS_stat,
        SYS_lstat,
        SYS_access,
        SYS_readlink,
        SYS_getdents,
        SYS_rmdir,
        SYS_unlink,
        SYS_link,
        SYS_symlink,
        SYS_rename,
        SYS_dup2,
        SYS_pipe,
        SYS_eventfd,
        SYS_poll,
        SYS_select,
        SYS_epoll_create,
        SYS_epoll_wait,
        SYS_alarm,
        SYS_pause,
        SYS_time,
        SYS_getpgrp,
    ],
)];
/// Newer architectures do not have them.
#[cfg(not(target_arch = "x86_64"))]
pub const SANDBOX_LEGACY: &[Group] = &[];

/// Allowed only where each sandbox has a uid of its own, and so owns only what it made. Landlock
/// does not govern these calls, and a shared uid would own the files of its user. The calls that
/// set a mode are in `policy.rs`, which looks at the mode.
pub const OWNERSHIP: &[Group] = &[(
    "owners and times of its own files; which of their pages are in memory, which the kernel says of \
     files that one could write",
    &[SYS_fchown, SYS_fchownat, SYS_utimensat, SYS_mincore],
)];

/// Older forms of the calls above.
#[cfg(target_arch = "x86_64")]
pub const OWNERSHIP_LEGACY: &[Group] = &[(
    "older forms of allowed calls",
    &[SYS_chown, SYS_lchown, SYS_utime, SYS_utimes, SYS_futimesat],
)];
/// Newer architectures do not have them.
#[cfg(not(target_arch = "x86_64"))]
pub const OWNERSHIP_LEGACY: &[Group] = &[];

/// What a sandbox needs between its first and its last filter to finish locking itself down.
pub const SETUP: &[Group] = &[(
    "the last steps of confinement; the last filter takes them away",
    &[
        SYS_seccomp,
        SYS_landlock_restrict_self,
        SYS_setresgid,
        SYS_timer_create,
        SYS_timer_settime,
    ],
)];

/// What a worker also does: fork, step down, reap, talk.
pub const WORKER: &[Group] = &[
    (
        "locking sandboxes down",
        &[
            SYS_landlock_create_ruleset,
            SYS_landlock_add_rule,
            SYS_capset,
            SYS_setsid,
        ],
    ),
    (
        "ending and watching sandboxes",
        &[SYS_pidfd_open, SYS_pidfd_send_signal],
    ),
    ("reports to the supervisor", &[SYS_sendmsg]),
    ("the file that holds the warm image", &[SYS_memfd_create]),
];

/// Linux 6.5 to 6.7; every architecture has these numbers (asm-generic/unistd.h), and the libc
/// crate has no names for them.
const CACHESTAT: c_long = 451;
const MAP_SHADOW_STACK: c_long = 453;
const FUTEX_WAKE: c_long = 454;
const FUTEX_WAIT: c_long = 455;
const FUTEX_REQUEUE: c_long = 456;

/// Libraries try these calls, and do without them when they are not there.
pub const ABSENT: &[c_long] = &[
    SYS_clone3,
    SYS_openat2,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_pidfd_getfd,
    SYS_process_madvise,
    SYS_epoll_pwait2,
    SYS_futex_waitv,
    SYS_process_mrelease,
    SYS_memfd_secret,
    CACHESTAT,
    MAP_SHADOW_STACK,
    FUTEX_WAKE,
    FUTEX_WAIT,
    FUTEX_REQUEUE,
    SYS_mseal,
];

/// The first and the last number of calls that are newer than this list (Linux 6.11 and later).
/// They look absent too. The kernel adds some eight numbers a year, so there is room for decades.
pub const UNKNOWN: std::ops::RangeInclusive<u32> = 463..=1023;

/// Calls that make processes. They are denied as if there were too many processes.
#[cfg(target_arch = "x86_64")]
pub const FORKS: &[c_long] = &[SYS_fork, SYS_vfork];
/// Newer architectures only have `clone`.
#[cfg(not(target_arch = "x86_64"))]
pub const FORKS: &[c_long] = &[];
