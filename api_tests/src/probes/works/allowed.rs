//! What a run may do: threads, files below tmp, pipes, signals to itself.

use crate::probe::Need::Limit;
use crate::probe::Probe;

/// The probes of this file.
pub const PROBES: &[Probe] = &[
    Probe::works(
        "allow_threads",
        "Threads can be started and joined.",
        "4",
        "import threading\n\
         results = []\n\
         threads = [threading.Thread(target=results.append, args=(1,)) for _ in range(4)]\n\
         for thread in threads: thread.start()\n\
         for thread in threads: thread.join()\n\
         x = len(results)",
    ),
    Probe::works(
        "allow_pools_of_threads",
        "Pools of threads can be started and joined.",
        "[1,4,9]",
        "from concurrent.futures import ThreadPoolExecutor\n\
         with ThreadPoolExecutor(3) as pool: x = list(pool.map(lambda n: n * n, [1, 2, 3]))",
    ),
    Probe::works(
        "allow_reading_own_files",
        "The run's directory can be listed and its files read.",
        "[[\"jailed_code\",\"tmp\"],true]",
        "import os\nx = [sorted(os.listdir()), len(open('jailed_code').read()) > 0]",
    )
    .original("allow_list_in_own_sandbox"),
    Probe::works(
        "allow_directories_below_tmp",
        "Directories and empty files can be made, moved and removed below tmp.",
        "[\"c\"]",
        "import os, shutil\n\
         os.makedirs('tmp/a/d')\n\
         open('tmp/a/b', 'w').close()\n\
         os.rename('tmp/a/b', 'tmp/a/c')\n\
         os.rmdir('tmp/a/d')\n\
         x = os.listdir('tmp/a')\n\
         shutil.rmtree('tmp/a')",
    ),
    Probe::works(
        "allow_links_below_tmp",
        "Links of both kinds can be made below tmp.",
        "[\"file\",true]",
        "import os\n\
         open('tmp/file', 'w').close()\n\
         os.symlink('file', 'tmp/symbolic')\n\
         os.link('tmp/file', 'tmp/hard')\n\
         x = [os.readlink('tmp/symbolic'), os.path.samefile('tmp/symbolic', 'tmp/hard')]",
    ),
    Probe::works(
        "allow_files_up_to_the_limit",
        "Files can be written up to FSIZE, and read back.",
        "[1,\"y\"]",
        "with open('tmp/file', 'w') as file: count = file.write('y')\n\
         x = [count, open('tmp/file').read()]",
    )
    .needs(&[Limit("FSIZE")])
    .original("allow_write_in_own_sandbox"),
    Probe::works(
        "allow_removing_own_files",
        "Files of the run's own can be removed.",
        "[]",
        "import os\n\
         with open('tmp/file', 'w') as file: file.write('y')\n\
         os.remove('tmp/file')\n\
         x = os.listdir('tmp')",
    )
    .needs(&[Limit("FSIZE")])
    .original("allow_delete_from_own_sandbox"),
    Probe::works(
        "allow_reading_the_paths_of_modules",
        "Each directory of sys.path can be listed, and each file of it can be read.",
        "true",
        "import os, sys\n\
         for path in sys.path:\n    \
             if os.path.isdir(path): os.listdir(path)\n    \
             elif os.path.isfile(path): open(path, 'rb').read(1)\n\
         x = len(sys.path) > 2",
    )
    .original("allow_python_path"),
    Probe::works(
        "allow_buffers_at_a_position",
        "Several buffers can be read and written at a position.",
        "[3,\"xyz\",3]",
        "import os\n\
         file = os.open('tmp/file', os.O_RDWR | os.O_CREAT)\n\
         written = os.pwritev(file, [b'x', b'yz'], 0)\n\
         one, two = bytearray(1), bytearray(2)\n\
         x = [os.preadv(file, [one, two], 0), (one + two).decode(), os.pwritev(file, [b'abc'], 0, os.RWF_APPEND)]\n\
         x = [written, x[1], x[2]]",
    )
    .needs(&[Limit("FSIZE")]),
    Probe::works(
        "allow_being_nice",
        "The run can lower its own priority.",
        "[5,5]",
        "import os\nx = [os.nice(5), os.getpriority(os.PRIO_PROCESS, 0)]",
    ),
    Probe::works(
        "support_calls_of_newer_kernels",
        "A system call that is newer than the list of allowed calls fails with ENOSYS. Libraries then take another way.",
        "[\"ENOSYS\",\"ENOSYS\",\"ENOSYS\"]",
        "import ctypes, errno\n\
         libc = ctypes.CDLL(None, use_errno=True)\n\
         def answer(number): return libc.syscall(number, -1, 0, 0) and errno.errorcode[ctypes.get_errno()]\n\
         x = [answer(number) for number in (454, 481, 1023)]",
    ),
    Probe::works(
        "allow_temporary_files",
        "tempfile works.",
        "\"kept\"",
        "import tempfile\n\
         with tempfile.TemporaryFile('w+') as file:\n    \
             file.write('kept')\n    \
             file.seek(0)\n    \
             x = file.read()",
    )
    .needs(&[Limit("FSIZE")]),
    Probe::works(
        "allow_temporary_directories",
        "Directories of tempfile work.",
        "true",
        "import os, tempfile\nwith tempfile.TemporaryDirectory() as path: x = os.path.isdir(path)",
    )
    .needs(&[Limit("FSIZE")]),
    Probe::works(
        "allow_unix_sockets_bound_below_tmp",
        "A unix socket can be made, bound below tmp, and listened on.",
        "\"tmp/socket\"",
        "import socket\n\
         listener = socket.socket(socket.AF_UNIX)\n\
         listener.bind('tmp/socket')\n\
         listener.listen()\n\
         x = listener.getsockname()",
    ),
    Probe::works(
        "allow_unix_sockets_of_any_kind_bound_below_tmp",
        "A unix socket that was asked for as a raw one can be bound below tmp.",
        "true",
        "import socket\n\
         bound = socket.socket(socket.AF_UNIX, socket.SOCK_RAW)\n\
         bound.bind('./tmp/socket')\n\
         x = bound.fileno() > 2",
    )
    .original("allow_in_sandbox"),
    Probe::works(
        "allow_pairs_of_sockets",
        "A pair of connected sockets can be written to and read from.",
        "\"ping\"",
        "import socket\na, b = socket.socketpair()\na.send(b'ping')\nx = b.recv(9).decode()",
    ),
    Probe::works(
        "allow_pipes",
        "A pipe can be written to and read from.",
        "\"ping\"",
        "import os\nreads, writes = os.pipe()\nos.write(writes, b'ping')\nx = os.read(reads, 9).decode()",
    ),
    Probe::works(
        "allow_waiting_for_descriptors",
        "Descriptors can be waited for in each of Python's ways.",
        "[true,true,true]",
        "import os, select\n\
         reads, writes = os.pipe()\n\
         os.write(writes, b'.')\n\
         poll, epoll = select.poll(), select.epoll()\n\
         for each in (poll, epoll): each.register(reads)\n\
         x = [bool(select.select([reads], [], [], 1)[0]), bool(poll.poll(1)), bool(epoll.poll(1))]",
    ),
    Probe::works(
        "allow_signals_to_itself",
        "A run can handle signals that it sends to itself.",
        "[10]",
        "import os, signal\n\
         got = []\n\
         signal.signal(signal.SIGUSR1, lambda number, frame: got.append(number))\n\
         os.kill(os.getpid(), signal.SIGUSR1)\n\
         x = got",
    ),
    Probe::works(
        "allow_alarms",
        "A run can set itself an alarm.",
        "1",
        "import signal, time\n\
         got = []\n\
         signal.signal(signal.SIGALRM, lambda *_: got.append(1))\n\
         signal.setitimer(signal.ITIMER_REAL, 0.01)\n\
         end = time.monotonic() + 0.9\n\
         while not got and time.monotonic() < end: time.sleep(0.01)\n\
         x = len(got)",
    ),
    Probe::works(
        "allow_random_bytes",
        "Random bytes of the kernel can be had.",
        "[8,8]",
        "import os, secrets\nx = [len(os.urandom(8)), len(secrets.token_bytes(8))]",
    ),
    Probe::works(
        "allow_mapped_memory",
        "Memory can be mapped, also executable memory as compilers of expressions need it.",
        "4096",
        "import mmap\n\
         x = len(mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC))",
    ),
    Probe::works(
        "allow_modes_of_own_files",
        "Asking for modes and owners of own files works.",
        "true",
        "import os\nopen('tmp/file', 'w').close()\nx = os.stat('tmp/file').st_uid == os.getuid()",
    ),
    Probe::works(
        "allow_locks_on_own_files",
        "A call that locks a part of an own file succeeds.",
        "1",
        "import fcntl\nwith open('tmp/file', 'w') as file: fcntl.lockf(file, fcntl.LOCK_EX)\nx = 1",
    ),
    Probe::works(
        "allow_flushing_own_files",
        "A call that flushes an own file succeeds, also if the file is mapped.",
        "\"y\"",
        "import mmap, os\n\
         with open('tmp/file', 'w+b') as file:\n    \
             file.write(b'x')\n    \
             file.flush()\n    \
             os.fsync(file.fileno())\n    \
             os.fdatasync(file.fileno())\n    \
             mapped = mmap.mmap(file.fileno(), 1)\n    \
             mapped[0:1] = b'y'\n    \
             mapped.flush()\n\
         x = open('tmp/file').read()\n\
         del mapped",
    )
    .needs(&[Limit("FSIZE")]),
    Probe::works(
        "allow_the_null_device",
        "/dev/null can be read and written.",
        "[\"\",3]",
        "x = [open('/dev/null').read(), open('/dev/null', 'w').write('abc')]",
    ),
    Probe::works(
        "allow_lower_limits",
        "A run can lower its own limits.",
        "[64,64]",
        "import resource\n\
         resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n\
         x = list(resource.getrlimit(resource.RLIMIT_NOFILE))",
    ),
];
