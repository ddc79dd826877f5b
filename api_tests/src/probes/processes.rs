//! Processes: making one, running a program, and every way to touch another process.

use crate::probe::Need::Bait;
use crate::probe::Probe;

/// Why one layer may guard what only tells of another process.
const TELLS: &str = "it tells of a process and changes nothing of it";
/// Why one layer may keep a run from having children.
const A_CHILD: &str = "a child is what its parent is: the same user, layers and limits; what outlives the run is \
                       ended by the worker";
/// Why one layer may guard signals and priorities that the kernel grants by ownership.
const OWNED: &str = "the kernel's own rule lets it reach processes of the same user alone, and a run has a user, a \
                     session and a PID namespace that hold no other";
/// Why one layer may guard what concerns the run itself.
const ITSELF: &str = "it concerns the run's own process alone";

/// The group.
pub const PROBES: &[Probe] = &[
    Probe::surface(
        "deny_fork",
        "The process can't be forked.",
        A_CHILD,
        "x = outcome(lambda: child(os.fork()), FORKS)",
    ),
    Probe::harm(
        "deny_fork_with_a_terminal",
        "Nor with a terminal of the child's own.",
        "x = outcome(lambda: child(os.forkpty()[0]), (*FORKS, 'ENOENT'))",
    ),
    Probe::surface(
        "deny_fork_by_number",
        "Nor by the old system call, past the C library.",
        A_CHILD,
        "x = outcome(lambda: child(call('fork')), FORKS)",
    ),
    Probe::surface(
        "deny_clone",
        "Nor by the system call that threads are made with.",
        A_CHILD,
        "import signal\n\
         x = outcome(lambda: child(call('clone', int(signal.SIGCHLD), 0, 0, 0, 0)), FORKS)",
    ),
    Probe::surface(
        "deny_clone3",
        "Nor by its successor, whose arguments a filter can't see.",
        A_CHILD,
        "import signal\n\
         arguments = struct.pack('11Q', 0, 0, 0, 0, int(signal.SIGCHLD), 0, 0, 0, 0, 0, 0)\n\
         x = outcome(lambda: child(call('clone3', arguments, len(arguments))), FORKS)",
    ),
    Probe::harm(
        "deny_spawning_a_program",
        "No program can be spawned.",
        "x = outcome(lambda: os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0), (*FORKS, 'ENOENT'))",
    ),
    Probe::harm(
        "deny_subprocess",
        "No program can be run by Python's usual module.",
        "import subprocess\n\
         x = outcome(lambda: subprocess.run(['/bin/true']).returncode == 0, (*FORKS, 'ENOENT'))",
    ),
    Probe::harm(
        "deny_a_shell",
        "No command can be given to a shell.",
        "def ask():\n    \
             status = os.system('exit 42')\n    \
             if status == -1 or os.waitstatus_to_exitcode(status) == 127: raise PermissionError(errno.EACCES, 'system')\n    \
             return os.waitstatus_to_exitcode(status) == 42\n\
         x = outcome(ask, FORKS)",
    ),
    Probe::surface(
        "deny_multiprocessing",
        "Python's own processes can't be made.",
        A_CHILD,
        "import multiprocessing\n\
         def make():\n    \
             process = multiprocessing.get_context('fork').Process(target=os._exit, args=(0,))\n    \
             process.start()\n    \
             process.join()\n\
         x = outcome(make, FORKS)",
    ),
    Probe::harm(
        "deny_exec_of_a_shell",
        "The process can't become a shell.",
        "x = outcome(lambda: os.execv('/bin/sh', SHELL), FILES)",
    ),
    Probe::harm(
        "deny_exec_of_python",
        "The process can't become a fresh Python.",
        "python = [sys.executable, '-c', f'print({SAY!r})']\n\
         x = outcome(lambda: os.execv(sys.executable, python), FILES)",
    ),
    Probe::harm(
        "deny_exec_through_a_link",
        "Nor a program by a name of the run's own.",
        "os.symlink('/bin/sh', 'tmp/sh')\n\
         x = outcome(lambda: os.execv('tmp/sh', SHELL), FILES)",
    ),
    Probe::harm(
        "deny_exec_of_a_descriptor",
        "Nor a program that was opened before.",
        "x = outcome(lambda: os.execve(os.open('/bin/sh', os.O_PATH), SHELL, {}), FILES)",
    ),
    Probe::harm(
        "deny_exec_from_memory",
        "Nor one that was written to memory.",
        "def run():\n    \
             file = os.memfd_create('program', 0)\n    \
             os.write(file, b'#!/bin/sh\\n' + SHELL[2].encode())\n    \
             os.execve(file, SHELL, {})\n\
         x = outcome(run, FILES)",
    ),
    Probe::harm(
        "deny_exec_through_the_loader",
        "Nor one that the dynamic loader is asked to load.",
        "loaders = ['/lib64/ld-linux-x86-64.so.2', '/lib/ld-linux-aarch64.so.1']\n\
         def run():\n    \
             loader = loaders[os.uname().machine == 'aarch64']\n    \
             os.execv(loader, [loader, '/bin/sh', *SHELL[1:]])\n\
         x = outcome(run, FILES)",
    ),
    Probe::harm(
        "deny_signals_to_another_process",
        "A process of the same user can't be signalled.",
        "x = outcome(lambda: os.kill(bait['pid'], 18), PROCESSES)",
    )
    .needs(&[Bait("writable")]),
    Probe::surface(
        "deny_signals_to_the_first_process",
        "The first process can't be signalled.",
        OWNED,
        "x = outcome(lambda: os.kill(1, 0), ('EACCES', 'ESRCH'), ('EPERM',))",
    ),
    Probe::harm(
        "deny_signals_to_the_parent",
        "The process that made the run's can't be signalled.",
        "x = outcome(lambda: os.kill(os.getppid() or 1, 0), PROCESSES)",
    ),
    Probe::surface(
        "deny_signals_to_everybody",
        "Not all processes can be signalled at once.",
        OWNED,
        "x = outcome(lambda: os.kill(-1, 0), PROCESSES)",
    ),
    Probe::surface(
        "deny_signals_to_the_group",
        "The process group can't be signalled.",
        OWNED,
        "x = outcome(lambda: os.kill(0, 0), PROCESSES)",
    ),
    Probe::harm(
        "deny_signals_to_a_thread_of_another_process",
        "Nor can one thread of another process.",
        "x = outcome(lambda: call('tgkill', bait['pid'], bait['pid'], 0), PROCESSES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_signals_to_any_thread",
        "Nor by the old system call for threads.",
        "x = outcome(lambda: call('tkill', bait['pid'], 0), PROCESSES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_queued_signals",
        "Nor with a value beside the signal.",
        "SI_QUEUE = -1\n\
         information = struct.pack('iii', 18, 0, SI_QUEUE).ljust(128, b'\\0')\n\
         x = outcome(lambda: call('rt_sigqueueinfo', bait['pid'], 18, information), PROCESSES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_queued_signals_to_a_thread",
        "Nor to one of its threads.",
        "SI_QUEUE = -1\n\
         information = struct.pack('iii', 18, 0, SI_QUEUE).ljust(128, b'\\0')\n\
         x = outcome(lambda: call('rt_tgsigqueueinfo', bait['pid'], bait['pid'], 18, information), PROCESSES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_signals_by_descriptor",
        "Nor through a descriptor of the process.",
        "import signal\n\
         x = outcome(lambda: signal.pidfd_send_signal(os.pidfd_open(bait['pid']), 18), PROCESSES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_signals_by_input_and_output",
        "The kernel can't be told to signal another process when a pipe has something to read.",
        "import fcntl\n\
         x = outcome(lambda: fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, bait['pid']) == 0, PROCESSES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_signals_by_a_sockets_owner",
        "Nor when a socket has.",
        "import fcntl\n\
         SIOCSPGRP = 0x8902\n\
         a, b = socket.socketpair()\n\
         x = outcome(lambda: fcntl.ioctl(a, SIOCSPGRP, struct.pack('i', bait['pid'])) and 'set', PROCESSES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_signals_by_a_sockets_owner_under_its_other_number",
        "Nor by the same request's other number.",
        "import fcntl\n\
         FIOSETOWN = 0x8901\n\
         a, b = socket.socketpair()\n\
         x = outcome(lambda: fcntl.ioctl(a, FIOSETOWN, struct.pack('i', bait['pid'])) and 'set', PROCESSES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_signals_to_a_thread_by_input_and_output",
        "Nor one thread of it.",
        "import fcntl\n\
         F_SETOWN_EX, THREAD = 15, 0\n\
         owner = struct.pack('ii', THREAD, bait['pid'])\n\
         x = outcome(lambda: fcntl.fcntl(os.pipe()[0], F_SETOWN_EX, owner) and 'set', PROCESSES)",
    )
    .needs(&[Bait("writable")]),
    Probe::surface(
        "deny_choosing_the_signal_of_a_pipe",
        "Nor can the signal be chosen.",
        ITSELF,
        "import fcntl\nF_SETSIG = 10\n\
         x = outcome(lambda: fcntl.fcntl(os.pipe()[0], F_SETSIG, 18) == 0)",
    ),
    Probe::harm(
        "deny_tracing_another_process",
        "A process of the same user can't be traced.",
        "PTRACE_SEIZE = 0x4206\n\
         x = outcome(lambda: call('ptrace', PTRACE_SEIZE, bait['pid'], 0, 0), PROCESSES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_reading_memory_of_another_process",
        "Its memory can't be read by system call.",
        "buffer = ctypes.create_string_buffer(8)\n\
         def steal():\n    \
             here = struct.pack('QQ', ctypes.addressof(buffer), 8)\n    \
             call('process_vm_readv', bait['pid'], here, 1, struct.pack('QQ', 4096, 8), 1, 0)\n\
         x = outcome(steal, PROCESSES, ('EFAULT',))",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_writing_memory_of_another_process",
        "Its memory can't be written by system call.",
        "buffer = ctypes.create_string_buffer(8)\n\
         def change():\n    \
             here = struct.pack('QQ', ctypes.addressof(buffer), 8)\n    \
             call('process_vm_writev', bait['pid'], here, 1, struct.pack('QQ', 4096, 8), 1, 0)\n\
         x = outcome(change, PROCESSES, ('EFAULT',))",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_opening_memory_of_another_process",
        "Its memory can't be opened in /proc.",
        "x = outcome(lambda: os.open(f\"/proc/{bait['pid']}/mem\", os.O_RDWR), FILES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_reading_the_environment_of_another_process",
        "Its environment can't be read.",
        "x = outcome(lambda: bait['secret'].encode() in read(f\"/proc/{bait['pid']}/environ\"), FILES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_reading_the_command_line_of_another_process",
        "Its command line can't be read.",
        "x = outcome(lambda: bait['secret'].encode() in read(f\"/proc/{bait['pid']}/cmdline\"), FILES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_reading_where_another_process_has_its_memory",
        "Its memory map can't be read.",
        "x = outcome(lambda: read(f\"/proc/{bait['pid']}/maps\"), FILES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_listing_descriptors_of_another_process",
        "Its descriptors can't be listed.",
        "x = outcome(lambda: os.listdir(f\"/proc/{bait['pid']}/fd\"), FILES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_reading_files_as_another_process_sees_them",
        "Its root directory is no way to files.",
        "x = outcome(lambda: read(f\"/proc/{bait['pid']}/root\" + bait['file']), FILES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_reading_the_environment_of_the_parent",
        "The environment of the process that made the run's can't be read.",
        "x = outcome(lambda: read(f'/proc/{os.getppid() or 1}/environ'), FILES)",
    ),
    Probe::harm(
        "deny_limiting_another_process",
        "Its resource limits can't be changed.",
        "import resource\n\
         x = outcome(lambda: resource.prlimit(bait['pid'], resource.RLIMIT_CORE, (0, 0)), PROCESSES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_pinning_another_process",
        "It can't be bound to a processor.",
        "x = outcome(lambda: os.sched_setaffinity(bait['pid'], os.sched_getaffinity(0)), PROCESSES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_rescheduling_another_process",
        "Its scheduling policy can't be changed.",
        "x = outcome(lambda: os.sched_setscheduler(bait['pid'], os.SCHED_BATCH, os.sched_param(0)), PROCESSES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_slowing_another_process",
        "Its priority can't be lowered.",
        "x = outcome(lambda: os.setpriority(os.PRIO_PROCESS, bait['pid'], 5), PROCESSES)",
    )
    .needs(&[Bait("writable")]),
    Probe::surface(
        "deny_slowing_everybody",
        "Priorities of all processes of a user can't be lowered at once.",
        OWNED,
        "x = outcome(lambda: os.setpriority(os.PRIO_USER, 0, 5), PROCESSES)",
    ),
    Probe::harm(
        "deny_slowing_input_and_output_of_another_process",
        "The priority of its disk accesses can't be lowered.",
        "WHO_PROCESS, BEST_EFFORT_LAST = 1, 2 << 13 | 7\n\
         x = outcome(lambda: call('ioprio_set', WHO_PROCESS, bait['pid'], BEST_EFFORT_LAST), PROCESSES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_moving_memory_of_another_process",
        "Its memory can't be moved to another node.",
        "x = outcome(lambda: call('move_pages', bait['pid'], 0, None, None, None, 0), PROCESSES)",
    )
    .needs(&[Bait("writable")]),
    Probe::harm(
        "deny_stealing_descriptors",
        "A descriptor of another process can't be copied.",
        "def steal():\n    \
             process = call('pidfd_open', bait['pid'], 0)\n    \
             call('pidfd_getfd', process, 0, 0)\n\
         x = outcome(steal, PROCESSES)",
    )
    .needs(&[Bait("writable")]),
    Probe::surface(
        "deny_advice_on_memory_of_another_process",
        "The kernel can't be advised to page its memory out.",
        "the kernel itself wants a capability for it",
        "MADV_COLD = 20\n\
         def advise():\n    \
             process = call('pidfd_open', bait['pid'], 0)\n    \
             call('process_madvise', process, struct.pack('QQ', 0, 0), 1, MADV_COLD, 0)\n\
         x = outcome(advise, ('EACCES', 'ENOSYS', 'ESRCH'), ('EPERM',))",
    )
    .needs(&[Bait("writable")]),
    Probe::surface(
        "deny_comparing_processes",
        "It can't be asked what two processes share.",
        TELLS,
        "KCMP_VM = 1\n\
         x = outcome(lambda: call('kcmp', os.getpid(), bait['pid'], KCMP_VM, 0, 0), PROCESSES)",
    )
    .needs(&[Bait("writable")]),
    Probe::surface(
        "deny_asking_for_locks_of_another_process",
        "Where another process keeps its locks can't be asked.",
        TELLS,
        "out = ctypes.create_string_buffer(16)\n\
         where = [ctypes.addressof(out), ctypes.addressof(out) + 8]\n\
         x = outcome(lambda: call('get_robust_list', bait['pid'], *where), PROCESSES)",
    )
    .needs(&[Bait("writable")]),
    Probe::surface(
        "deny_asking_for_the_group_of_another_process",
        "The process group of another process can't be asked.",
        TELLS,
        "x = outcome(lambda: os.getpgid(bait['pid']), PROCESSES)",
    )
    .needs(&[Bait("writable")]),
    Probe::surface(
        "deny_asking_for_the_priority_of_another_process",
        "Its priority can't be asked.",
        TELLS,
        "x = outcome(lambda: Returned(os.getpriority(os.PRIO_PROCESS, bait['pid'])), PROCESSES)",
    )
    .needs(&[Bait("writable")]),
    Probe::surface(
        "deny_handles_of_processes",
        "A descriptor of a process can't be had.",
        "each use of one is denied by itself",
        "x = outcome(lambda: os.pidfd_open(os.getpid()))",
    ),
    Probe::surface(
        "deny_becoming_traceable",
        "The process can't let another one trace it.",
        ITSELF,
        "PR_SET_PTRACER, ANY = 0x59616D61, -1\n\
         x = outcome(lambda: call('prctl', PR_SET_PTRACER, ANY, 0, 0, 0), ('EACCES',), ('EINVAL',))",
    ),
    Probe::surface(
        "deny_becoming_dumpable",
        "The process can't make its memory readable for its user.",
        ITSELF,
        "PR_SET_DUMPABLE = 4\nx = outcome(lambda: call('prctl', PR_SET_DUMPABLE, 1, 0, 0, 0))",
    ),
    Probe::surface(
        "deny_outliving_the_parent",
        "The process can't take back that it dies with its parent.",
        "a PID namespace ends it all the same",
        "PR_SET_PDEATHSIG = 1\nx = outcome(lambda: call('prctl', PR_SET_PDEATHSIG, 0, 0, 0, 0))",
    ),
    Probe::surface(
        "deny_adopting_processes",
        "Orphans of others can't be adopted.",
        ITSELF,
        "PR_SET_CHILD_SUBREAPER = 36\n\
         x = outcome(lambda: call('prctl', PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))",
    ),
    Probe::surface(
        "deny_keeping_capabilities",
        "It can't be arranged that capabilities survive a change of user.",
        "there are none to keep",
        "PR_SET_KEEPCAPS = 8\nx = outcome(lambda: call('prctl', PR_SET_KEEPCAPS, 1, 0, 0, 0))",
    ),
    Probe::surface(
        "deny_changing_the_user",
        "No call that changes users gets through, not even to oneself.",
        "no capability is there that would change them",
        "uid = os.getuid()\nx = outcome(lambda: call('setresuid', uid, uid, uid))",
    ),
    Probe::surface(
        "deny_changing_the_file_systems_user",
        "Nor the one for the user that files are opened as.",
        "no capability is there that would change it",
        "x = outcome(lambda: call('setfsuid', os.getuid()))",
    ),
    Probe::surface(
        "deny_changing_groups",
        "Nor the one for supplementary groups.",
        "no capability is there that would change them",
        "x = outcome(lambda: call('setgroups', 0, None), ('EACCES',), ('EPERM',))",
    ),
    Probe::surface(
        "deny_changing_capabilities",
        "Nor the one for capabilities.",
        "there are none, and none can be gained",
        "x = outcome(lambda: call('capset', None, None), CALLS, ('EFAULT',))",
    ),
];
