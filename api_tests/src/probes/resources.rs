//! Resources: what a run may use up. A run can't raise its own limits.

use crate::probe::Need::Limit;
use crate::probe::{Denial, Probe};

/// Why one layer is enough for a limit.
const BOUND: &str = "it bounds what a run takes, and the end of the run gives that back";

/// The probes of the group.
pub const PROBES: &[Probe] = &[
    Probe::surface(
        "deny_running_on_after_the_wall_clock_limit",
        "A run that sleeps past REALTIME is ended.",
        BOUND,
        "time.sleep(limits['REALTIME'] + 2)\nx = 'succeeded', 'it slept on'",
    )
    .needs(&[Limit("REALTIME")])
    .denied_by(Denial::Ended(&[-9])),
    Probe::surface(
        "deny_ignoring_signals_past_the_limit",
        "A run that ignores every signal is ended at REALTIME.",
        BOUND,
        "import signal\n\
         for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:\n    \
             signal.signal(number, signal.SIG_IGN)\n\
         end = time.monotonic() + limits['REALTIME'] + 2\n\
         while time.monotonic() < end: time.sleep(0.1)\n\
         x = 'succeeded', 'it slept on'",
    )
    .needs(&[Limit("REALTIME")])
    .denied_by(Denial::Ended(&[-9])),
    Probe::surface(
        "deny_threads_past_the_limit",
        "A run that leaves a thread behind is ended at REALTIME.",
        BOUND,
        "import threading\n\
         def stay():\n    \
             time.sleep(limits['REALTIME'] + 2)\n    \
             globals()['x'] = 'succeeded', 'the thread slept on'\n\
         thread = threading.Thread(target=stay)\n\
         thread.start()\n\
         thread.join()",
    )
    .needs(&[Limit("REALTIME")])
    .denied_by(Denial::Ended(&[-9])),
    Probe::surface(
        "deny_computing_past_the_processor_limit",
        "A run that computes past CPU, or past REALTIME before, is ended.",
        BOUND,
        "end = time.process_time() + limits['CPU'] + 1\n\
         while time.process_time() < end: pass\n\
         x = 'succeeded', 'it computed on'",
    )
    .needs(&[Limit("CPU")])
    .denied_by(Denial::Ended(&[-24, -9])),
    Probe::surface(
        "deny_memory_past_the_limit",
        "No more memory than VMEM can be had, but for what the interpreter itself gives back: a megabyte or two.",
        BOUND,
        "def take():\n    \
             try:\n        \
                 return len(bytearray(limits['VMEM'] + limits['VMEM'] // 16))\n    \
             except MemoryError as error:\n        \
                 raise OSError(errno.ENOMEM, 'MemoryError')\n\
         x = outcome(take, ('ENOMEM',))",
    )
    .needs(&[Limit("VMEM")]),
    Probe::surface(
        "deny_files_past_the_limit",
        "No file grows longer than FSIZE, not even by a byte.",
        BOUND,
        "import signal\n\
         signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n\
         def fill():\n    \
             with open('tmp/large', 'wb', 0) as file:\n        \
                 file.truncate(limits['FSIZE'])\n        \
                 file.seek(0, 2)\n        \
                 return file.write(b'x')\n\
         x = outcome(fill, ('EFBIG',))",
    ),
    Probe::surface(
        "deny_stretching_files_past_the_limit",
        "No file can be stretched past FSIZE.",
        BOUND,
        "import signal\n\
         signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n\
         x = outcome(lambda: open('tmp/large', 'wb').truncate(limits['FSIZE'] + 1), ('EFBIG', 'EACCES'))",
    ),
    Probe::surface(
        "deny_reserving_space_past_the_limit",
        "No space can be reserved past a file's end.",
        BOUND,
        "KEEP_SIZE = 1\n\
         file = os.open('tmp/large', os.O_CREAT | os.O_WRONLY)\n\
         x = outcome(lambda: call('fallocate', file, KEEP_SIZE, limits['FSIZE'], 4096), ('EFBIG', 'EACCES'))",
    ),
    Probe::surface(
        "deny_space_past_the_limit",
        "All files together can't take more than the space of a run.",
        BOUND,
        "def fill():\n    \
             piece = b'x' * int(limits['FSIZE'])\n    \
             for number in range(limits['SPACE'] // len(piece) + 1):\n        \
                 with open(f'tmp/{number}', 'wb') as file: file.write(piece)\n\
         x = outcome(fill, ('ENOSPC', 'EDQUOT'))",
    )
    .needs(&[Limit("SPACE"), Limit("FSIZE")]),
    Probe::surface(
        "deny_more_files_than_the_limit",
        "No more files can be made than a run may have.",
        BOUND,
        "def fill():\n    \
             for number in range(limits['INODES'] + 1): open(f'tmp/{number}', 'x').close()\n\
         x = outcome(fill, ('ENOSPC', 'EDQUOT'))",
    )
    .needs(&[Limit("INODES")]),
    Probe::surface(
        "deny_more_threads_than_the_limit",
        "No more threads than NPROC can be started.",
        BOUND,
        "import threading\n\
         gate = threading.Event()\n\
         def start():\n    \
             try:\n        \
                 for _ in range(int(limits['NPROC']) + 1):\n            \
                     threading.Thread(target=gate.wait, daemon=True).start()\n    \
             except RuntimeError as error:\n        \
                 raise BlockingIOError(errno.EAGAIN, str(error))\n    \
             finally:\n        \
                 gate.set()\n\
         x = outcome(start, ('EAGAIN',))",
    )
    .needs(&[Limit("NPROC")]),
    Probe::surface(
        "deny_many_descriptors",
        "No more descriptors can be open than 1024, which is the most that `descriptors_max` allows.",
        BOUND,
        "import resource\n\
         def open_many():\n    \
             most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n    \
             resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))\n    \
             kept = [os.dup(0) for _ in range(1025)]\n    \
             return len(kept)\n\
         x = outcome(open_many, ('EMFILE',))",
    ),
    Probe::surface(
        "deny_raising_the_limit_on_files",
        "The limit on files can't be raised.",
        BOUND,
        "import resource\n\
         def raise_it():\n    \
             try:\n        \
                 resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))\n    \
             except ValueError as error:\n        \
                 raise PermissionError(errno.EPERM, str(error))\n\
         x = outcome(raise_it)",
    ),
    Probe::surface(
        "deny_raising_the_limit_on_processor_time",
        "The limit on processor time can't be raised.",
        BOUND,
        "import resource\n\
         def raise_it():\n    \
             try:\n        \
                 resource.setrlimit(resource.RLIMIT_CPU, (-1, -1))\n    \
             except ValueError as error:\n        \
                 raise PermissionError(errno.EPERM, str(error))\n\
         x = outcome(raise_it)",
    )
    .needs(&[Limit("CPU")]),
    Probe::surface(
        "deny_raising_the_limit_on_processes",
        "The limit on threads and processes can't be raised.",
        BOUND,
        "import resource\n\
         def raise_it():\n    \
             soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)\n    \
             if hard != resource.RLIM_INFINITY and hard > 10000: return 'it is as good as none'\n    \
             try:\n        \
                 resource.setrlimit(resource.RLIMIT_NPROC, (-1, -1))\n    \
             except ValueError as error:\n        \
                 raise PermissionError(errno.EPERM, str(error))\n\
         x = outcome(raise_it)",
    )
    .needs(&[Limit("NPROC")]),
    Probe::surface(
        "deny_core_dumps",
        "A run that crashes can't leave its memory on the disk.",
        "the process is not dumpable, so the kernel writes no core of it",
        "import resource\n\
         def raise_it():\n    \
             try:\n        \
                 resource.setrlimit(resource.RLIMIT_CORE, (4096, -1))\n    \
             except ValueError as error:\n        \
                 raise PermissionError(errno.EPERM, str(error))\n\
         x = outcome(raise_it)",
    ),
    Probe::surface(
        "deny_locking_memory",
        "No memory can be kept from being paged out.",
        BOUND,
        "page = ctypes.create_string_buffer(8192)\n\
         x = outcome(lambda: call('mlock', ctypes.addressof(page), 4096), (*CALLS, 'ENOMEM'))",
    ),
    Probe::surface(
        "deny_large_pipes",
        "The kernel can't be made to keep large buffers.",
        BOUND,
        "import fcntl\nF_SETPIPE_SZ = 1031\n\
         x = outcome(lambda: fcntl.fcntl(os.pipe()[0], F_SETPIPE_SZ, 1 << 20))",
    ),
    Probe::surface(
        "deny_stopping_the_clock",
        "The timer that ends the run can't be deleted.",
        "the worker and the service measure the run's time too",
        "x = outcome(lambda: call('timer_delete', 0), ('EACCES',), ('EINVAL',))",
    ),
    Probe::surface(
        "deny_setting_the_clock_back",
        "The timer that ends the run can't be set anew.",
        "the worker and the service measure the run's time too",
        "x = outcome(lambda: call('timer_settime', 0, 0, None, None), ('EACCES',), ('EINVAL',))",
    ),
    Probe::surface(
        "deny_timers_of_the_kernels",
        "No further timer can be made in the kernel.",
        BOUND,
        "UNKNOWN = 1 << 20\nx = outcome(lambda: call('timer_create', UNKNOWN, None, None), ('EACCES',), ('EINVAL',))",
    ),
    Probe::surface(
        "deny_timers_by_descriptor",
        "No timer that is a descriptor can be made.",
        BOUND,
        "UNKNOWN = 1 << 20\nx = outcome(lambda: call('timerfd_create', UNKNOWN, 0), ('EACCES',), ('EINVAL',))",
    ),
    Probe::surface(
        "deny_floods_of_errors",
        "What is kept of standard error is bounded.",
        BOUND,
        "for _ in range(128): os.write(2, b'x' * 65536)\nos._exit(1)",
    )
    .denied_by(Denial::AnswerBytesMax(4 << 20)),
    Probe::surface(
        "deny_floods_of_output",
        "What is kept of standard output is bounded.",
        BOUND,
        "for _ in range(128): os.write(1, b'x' * 65536)\nos._exit(1)",
    )
    .denied_by(Denial::AnswerBytesMax(4 << 20)),
    Probe::surface(
        "deny_huge_results",
        "A result of 40 MB does not come back.",
        BOUND,
        "x = 'y' * (40 << 20)",
    )
    .denied_by(Denial::AnswerBytesMax(34 << 20)),
    Probe::surface(
        "deny_speaking_over_the_services_pipes",
        "A run that speaks over the service's own pipes is ended.",
        "it spoils the run's own answer at most",
        "for number in range(3, 64):\n    \
             try: os.write(number, b'\\xff' * 8)\n    \
             except OSError: pass\n\
         time.sleep(0.3)\n\
         x = 'succeeded', 'it ran on'",
    )
    .denied_by(Denial::Ended(&[-9])),
];
