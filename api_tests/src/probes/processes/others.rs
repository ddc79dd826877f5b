//! Another process's memory, environment, limits and priority.

use crate::probe::Need::Decoy;
use crate::probe::Probe;

/// Why it is enough that one layer guards what only shows another process.
const TELLS: &str = "it shows a process and does not change it";

/// Why it is enough that one layer guards signals and priorities: the kernel grants them by
/// ownership.
const OWNED: &str = "the kernel's own rule lets it reach only processes of the same user, and no other \
                     process is in the user, session and PID namespace of a run";

/// An attack on another process, for which there must be a decoy.
const fn on_another(name: &'static str, shows: &'static str, code: &'static str) -> Probe {
    Probe::harm(name, shows, code).needs(&[Decoy("writable")])
}

/// The probes of this file.
pub const PROBES: &[Probe] = &[
    on_another(
        "deny_tracing_another_process",
        "A process of the same user can't be traced.",
        "PTRACE_SEIZE = 0x4206\n\
         x = outcome(lambda: call('ptrace', PTRACE_SEIZE, decoy['pid'], 0, 0), PROCESSES)",
    ),
    on_another(
        "deny_reading_memory_of_another_process",
        "The memory of another process can't be read by system call.",
        "buffer = ctypes.create_string_buffer(8)\n\
         def steal():\n    \
             here = struct.pack('QQ', ctypes.addressof(buffer), 8)\n    \
             call('process_vm_readv', decoy['pid'], here, 1, struct.pack('QQ', 4096, 8), 1, 0)\n\
         x = outcome(steal, PROCESSES, ('EFAULT',))",
    ),
    on_another(
        "deny_writing_memory_of_another_process",
        "The memory of another process can't be written by system call.",
        "buffer = ctypes.create_string_buffer(8)\n\
         def change():\n    \
             here = struct.pack('QQ', ctypes.addressof(buffer), 8)\n    \
             call('process_vm_writev', decoy['pid'], here, 1, struct.pack('QQ', 4096, 8), 1, 0)\n\
         x = outcome(change, PROCESSES, ('EFAULT',))",
    ),
    on_another(
        "deny_opening_memory_of_another_process",
        "The memory of another process can't be opened in /proc.",
        "x = outcome(lambda: os.open(f\"/proc/{decoy['pid']}/mem\", os.O_RDWR), FILES)",
    ),
    on_another(
        "deny_reading_the_environment_of_another_process",
        "The environment of another process can't be read.",
        "x = outcome(lambda: decoy['secret'].encode() in read(f\"/proc/{decoy['pid']}/environ\"), FILES)",
    ),
    on_another(
        "deny_reading_the_command_line_of_another_process",
        "The command line of another process can't be read.",
        "x = outcome(lambda: decoy['secret'].encode() in read(f\"/proc/{decoy['pid']}/cmdline\"), FILES)",
    ),
    on_another(
        "deny_reading_where_another_process_has_its_memory",
        "The memory map of another process can't be read.",
        "x = outcome(lambda: read(f\"/proc/{decoy['pid']}/maps\"), FILES)",
    ),
    on_another(
        "deny_listing_descriptors_of_another_process",
        "The descriptors of another process can't be listed.",
        "x = outcome(lambda: os.listdir(f\"/proc/{decoy['pid']}/fd\"), FILES)",
    ),
    on_another(
        "deny_reading_files_as_another_process_sees_them",
        "The root directory of another process is no way to files.",
        "x = outcome(lambda: read(f\"/proc/{decoy['pid']}/root\" + decoy['file']), FILES)",
    ),
    Probe::harm(
        "deny_reading_the_environment_of_the_parent",
        "The environment of the process that made the run's can't be read.",
        "x = outcome(lambda: read(f'/proc/{os.getppid() or 1}/environ'), FILES)",
    ),
    on_another(
        "deny_limiting_another_process",
        "The resource limits of another process can't be changed.",
        "import resource\n\
         x = outcome(lambda: resource.prlimit(decoy['pid'], resource.RLIMIT_CORE, (0, 0)), PROCESSES)",
    ),
    on_another(
        "deny_pinning_another_process",
        "Another process can't be bound to a processor.",
        "x = outcome(lambda: os.sched_setaffinity(decoy['pid'], os.sched_getaffinity(0)), PROCESSES)",
    ),
    on_another(
        "deny_rescheduling_another_process",
        "The scheduling policy of another process can't be changed.",
        "x = outcome(lambda: os.sched_setscheduler(decoy['pid'], os.SCHED_BATCH, os.sched_param(0)), PROCESSES)",
    ),
    on_another(
        "deny_slowing_another_process",
        "The priority of another process can't be lowered.",
        "x = outcome(lambda: os.setpriority(os.PRIO_PROCESS, decoy['pid'], 5), PROCESSES)",
    ),
    Probe::surface(
        "deny_slowing_everybody",
        "Priorities of all processes of a user can't be lowered at once.",
        OWNED,
        "x = outcome(lambda: os.setpriority(os.PRIO_USER, 0, 5), PROCESSES)",
    ),
    on_another(
        "deny_slowing_input_and_output_of_another_process",
        "The priority of another process's disk accesses can't be lowered.",
        "WHO_PROCESS, BEST_EFFORT_LAST = 1, 2 << 13 | 7\n\
         x = outcome(lambda: call('ioprio_set', WHO_PROCESS, decoy['pid'], BEST_EFFORT_LAST), PROCESSES)",
    ),
    on_another(
        "deny_moving_memory_of_another_process",
        "The memory of another process can't be moved to another node.",
        "x = outcome(lambda: call('move_pages', decoy['pid'], 0, None, None, None, 0), PROCESSES)",
    ),
    on_another(
        "deny_stealing_descriptors",
        "A descriptor of another process can't be copied.",
        "def steal():\n    \
             process = call('pidfd_open', decoy['pid'], 0)\n    \
             call('pidfd_getfd', process, 0, 0)\n\
         x = outcome(steal, PROCESSES)",
    ),
    Probe::surface(
        "deny_advice_on_memory_of_another_process",
        "The kernel can't be advised to page out the memory of another process.",
        "the kernel itself wants a capability for it",
        "MADV_COLD = 20\n\
         def advise():\n    \
             process = call('pidfd_open', decoy['pid'], 0)\n    \
             call('process_madvise', process, struct.pack('QQ', 0, 0), 1, MADV_COLD, 0)\n\
         x = outcome(advise, ('EACCES', 'ENOSYS', 'ESRCH'), ('EPERM',))",
    )
    .needs(&[Decoy("writable")]),
    Probe::surface(
        "deny_comparing_processes",
        "It can't be asked what two processes share.",
        TELLS,
        "KCMP_VM = 1\n\
         x = outcome(lambda: call('kcmp', os.getpid(), decoy['pid'], KCMP_VM, 0, 0), PROCESSES)",
    )
    .needs(&[Decoy("writable")]),
    Probe::surface(
        "deny_asking_for_locks_of_another_process",
        "Where another process keeps its locks can't be asked.",
        TELLS,
        "out = ctypes.create_string_buffer(16)\n\
         where = [ctypes.addressof(out), ctypes.addressof(out) + 8]\n\
         x = outcome(lambda: call('get_robust_list', decoy['pid'], *where), PROCESSES)",
    )
    .needs(&[Decoy("writable")]),
    Probe::surface(
        "deny_asking_for_the_group_of_another_process",
        "The process group of another process can't be asked.",
        TELLS,
        "x = outcome(lambda: os.getpgid(decoy['pid']), PROCESSES)",
    )
    .needs(&[Decoy("writable")]),
    Probe::surface(
        "deny_asking_for_the_priority_of_another_process",
        "The priority of another process can't be asked.",
        TELLS,
        "x = outcome(lambda: Returned(os.getpriority(os.PRIO_PROCESS, decoy['pid'])), PROCESSES)",
    )
    .needs(&[Decoy("writable")]),
    Probe::surface(
        "deny_handles_of_processes",
        "No descriptor of a process can be opened.",
        "each use of such a descriptor is denied too",
        "x = outcome(lambda: call('pidfd_open', os.getpid(), 0))",
    ),
];
