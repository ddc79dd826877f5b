//! Work or memory of the kernel for a run that none of the run's limits counts: after its end, in
//! other processes' calls, in lists and accounts that it shares with others.
//!
//! `scale` says how many times as much as usual each probe does. No probe takes so much processor
//! time that the run's limit leaves it none to report. Each probe also has a bound of its own, for
//! services without limits.

use super::long_calls::LONG_CALLS;
use crate::probe::{Probe, ProbePlan};

/// The probes of the group, in parts.
pub const PARTS: &[&[Probe]] = &[
    ENDS, LONG_CALLS, WATCHES, ACCOUNTS, SHARED, LOADING, CHANNELS,
];

/// An attack that costs others something: its name, what a victim beside it shows, what it uses up,
/// and the code.
macro_rules! costs {
    ($($name:literal, $shows:literal, $uses_up:literal, $code:literal;)*) => {
        &[$(Probe::cost($name, $shows, $uses_up, $code)),*]
    };
}

/// Code of two runs that try to meet each other.
macro_rules! channels {
    ($($name:literal, $shows:literal, $uses_up:literal, $victim:literal, $attack:literal;)*) => {
        &[$(Probe::cost($name, $shows, $uses_up, "")
            .plan(ProbePlan::Beside { victim: $victim, attack: $attack })),*]
    };
}

/// At the end of a process.
const ENDS: &[Probe] = costs![
    "deny_a_long_end_by_locks", "A run that splits a record lock 300,000 times ends as soon as others.",
    "each descriptor that is closed at its end has the kernel walk the list of locks",
    r"
import fcntl
F_OFD_SETLK, FORM, TOP = 37, 'hhqqi4x', 1 << 50
open('tmp/locked', 'w').close()
file = os.open('tmp/locked', os.O_RDONLY)
def lock(kind, start, length): fcntl.fcntl(file, F_OFD_SETLK, struct.pack(FORM, kind, 0, start, length, 0))
def split():
    lock(fcntl.F_RDLCK, 0, TOP)
    for number in range(int(300_000 * scale)):
        lock(fcntl.F_UNLCK, TOP - 2 - 2 * number, 1)
        if number % 1000 == 0 and spent(1.4): break
    copies = [os.dup(file) for _ in range(descriptors(950))]
    return number, len(copies)
x = outcome(split)
";
    "deny_a_long_end_by_locks_on_a_library", "A run that splits a record lock on the C library's file 200,000 times ends as soon as others.",
    "whoever starts a program or opens the file looks at the list of locks, too",
    r"
import fcntl
F_OFD_SETLK, FORM, TOP = 37, 'hhqqi4x', 1 << 50
path = next((p for p in ('/lib/x86_64-linux-gnu/libc.so.6', '/lib/aarch64-linux-gnu/libc.so.6') if os.path.exists(p)), os.__file__)
file = os.open(path, os.O_RDONLY)
def lock(kind, start, length): fcntl.fcntl(file, F_OFD_SETLK, struct.pack(FORM, kind, 0, start, length, 0))
def split():
    lock(fcntl.F_RDLCK, 0, TOP)
    for number in range(int(200_000 * scale)):
        lock(fcntl.F_UNLCK, TOP - 2 - 2 * number, 1)
        if number % 1000 == 0 and spent(1.2): break
    copies = [os.dup(file) for _ in range(descriptors(400))]
    return number, len(copies)
x = outcome(split)
";
];

/// Costs in wait queues.
const WATCHES: &[Probe] = costs![
    "deny_watches_on_the_output", "A flood of output is read as fast as ever when 230,000 watches hang on it.",
    "whoever reads the pipe wakes them all, and that is the service",
    r"
import select
def flood():
    side = descriptors(2 * 480 * scale ** 0.5) // 2
    watches = [select.epoll() for _ in range(side)]
    numbers = [os.dup(1) for _ in range(side)]
    for watch in watches:
        for number in numbers: watch.register(number, select.EPOLLOUT | select.EPOLLET)
    end, piece = time.monotonic() + (min(1.5, 0.6 * limits['REALTIME']) if limits['REALTIME'] else 1.5), b'x' * 65536
    while time.monotonic() < end and not spent(1.4): os.write(1, piece)
    os.write(1, b'\n')
    return side * side
x = outcome(flood, ('EMFILE',))
";
    "deny_watches_on_an_eventfd", "Writing to a counter that 230,000 watches hang on holds nobody up.",
    "one call walks them all, and nothing else runs on that processor meanwhile",
    r"
import select
def write():
    side = descriptors(2 * 480 * scale ** 0.5) // 2
    counter = os.eventfd(0, os.EFD_NONBLOCK)
    watches = [select.epoll() for _ in range(side)]
    numbers = [os.dup(counter) for _ in range(side)]
    for watch in watches:
        for number in numbers: watch.register(number, select.EPOLLIN | select.EPOLLET)
    while not spent(1.4): os.eventfd_write(counter, 1)
    return side * side
x = outcome(write, ('EMFILE',))
";
    "deny_watches_on_a_fifo", "Writing to a pipe with a name, which can be opened again and again, holds up nobody.",
    "as many watches as descriptors cubed, all in one queue",
    r"
import select
def write():
    os.mkfifo('tmp/fifo')
    side = descriptors(3 * 300 * scale ** (1 / 3)) // 3
    opened = [os.open('tmp/fifo', os.O_RDWR | os.O_NONBLOCK) for _ in range(side)]
    watches = [select.epoll() for _ in range(side)]
    numbers, hung = [os.dup(0) for _ in range(side)], 0
    for file in opened:
        for number in numbers: os.dup2(file, number)
        for watch in watches:
            for number in numbers: watch.register(number, select.EPOLLIN | select.EPOLLET)
            hung += side
            if hung >= 1_000_000 * scale or spent(1.0): break
        if hung >= 1_000_000 * scale or spent(1.0): break
    while not spent(1.4):
        os.write(opened[0], b'x')
        os.read(opened[0], 1)
    return hung
x = outcome(write, ('EMFILE',))
";
];

/// In accounts that the kernel keeps for a user.
const ACCOUNTS: &[Probe] = costs![
    "deny_all_pending_signals", "Others run as ever while a run has 100,000 signals pending.",
    "their number is limited by user; a timer needs one",
    r"
import signal
def fill():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
    for number in range(int(100_000 * scale)):
        os.kill(os.getpid(), signal.SIGRTMIN)
        if number % 1000 == 0 and spent(1.4): break
    wait(1.0)
    return number
x = outcome(fill)
";
    "deny_all_threads", "Others can start threads while a run has all that it may.",
    "NPROC counts the processes and threads of a user",
    r"
import threading
def start():
    threading.stack_size(1 << 16)
    gate, threads = threading.Event(), []
    try:
        for _ in range(int(60 * scale) + 1):
            threads.append(threading.Thread(target=gate.wait, daemon=True))
            threads[-1].start()
    except RuntimeError: pass
    wait(1.0)
    gate.set()
    return len(threads)
x = outcome(start)
";
    "deny_all_pipe_buffers", "Others have pipes as ever while a run has as many as it can.",
    "the kernel gives a user so many pages of them, and then small pipes",
    r"
import fcntl
F_GETPIPE_SZ = 1032
def make():
    kept = []
    for _ in range(descriptors(1000 * min(scale, 1))):
        reads, writes = os.pipe()
        os.close(writes)
        kept.append(reads)
    wait(1.0)
    return len(kept), fcntl.fcntl(kept[-1], F_GETPIPE_SZ)
x = outcome(make, ('EMFILE',))
";
    "deny_buffers_of_sockets", "Others run as ever beside 60 pairs of sockets with all that they can hold.",
    "memory of the kernel that none of the run's limits counts; only a memory cgroup does",
    r"
def fill():
    piece, kept, held = b'x' * (1 << 20), [], 0
    for _ in range(descriptors(2 * 60 * scale) // 2):
        pair = socket.socketpair()
        for end in pair:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 30)
            end.setblocking(False)
            try:
                while True: held += end.send(piece)
            except BlockingIOError: pass
        kept.append(pair)
        if spent(1.2): break
    wait(0.5)
    return len(kept), f'{held >> 20} MiB'
x = outcome(fill)
";
];

/// In the file systems that all runs share.
const SHARED: &[Probe] = costs![
    "deny_evicting_libraries", "Others import as fast as ever while a run drops Python's files from memory.",
    "the page cache is everybody's",
    r"
import sysconfig
def evict():
    top, dropped = sysconfig.get_path('stdlib'), 0
    end = time.monotonic() + max(0.1, min(1.0, scale))
    while True:
        for place, _, names in os.walk(top):
            for name in names:
                try: file = os.open(os.path.join(place, name), os.O_RDONLY)
                except OSError: continue
                try: os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
                finally: os.close(file)
                dropped += 1
                if dropped >= 3000 * scale or spent(1.2): return dropped
        if time.monotonic() > end: return dropped
x = outcome(evict)
";
    "deny_flushing_the_disk", "A run that flushes a library's file again and again costs nobody the disk.",
    "a flush of the device's cache for each call",
    r"
import json, threading
def flush():
    end, done, failed = time.monotonic() + max(0.2, min(1.2, 1.2 * scale)), [], []
    def work():
        try:
            file = os.open(json.__file__, os.O_RDONLY)
            while time.monotonic() < end and not spent(1.4):
                os.fsync(file)
                done.append(1)
        except OSError as error: failed.append(error)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    if failed: raise failed[0]
    return len(done)
x = outcome(flush)
";
    "deny_the_bandwidth_of_the_disk", "A run that reads past the page cache can't take the disk's bandwidth.",
    "every read goes to the device",
    r"
import mmap, threading
def read_on():
    path = max((os.path.join(place, name) for place in sys.path if os.path.isdir(place) for name in os.listdir(place)
                if name.endswith('.py') and not os.path.islink(os.path.join(place, name))), key=os.path.getsize)
    end, done, failed = time.monotonic() + max(0.2, min(1.2, 1.2 * scale)), [], []
    def work():
        try:
            file, page = os.open(path, os.O_RDONLY | os.O_DIRECT), mmap.mmap(-1, 1 << 20)
            while time.monotonic() < end and not spent(1.4):
                os.lseek(file, 0, 0)
                done.append(os.readv(file, [page]))
        except OSError as error: failed.append(error)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    if failed: raise failed[0]
    return sum(done)
x = outcome(read_on)
";
    "deny_names_that_are_not_there", "Others run as ever while a run asks for names that are not there.",
    "the kernel remembers each for a while",
    r"
import sysconfig
def ask():
    place, tried = sysconfig.get_path('stdlib') + '/' + os.urandom(4).hex(), 0
    while tried < 300_000 * scale and not spent(1.4):
        for number in range(1000): os.access(place + str(tried + number), os.F_OK)
        tried += 1000
    return tried
x = outcome(ask)
";
    "deny_trying_names_of_other_runs", "Others run as ever while a run tries names of their directories.",
    "the kernel remembers each for a while",
    r"
import itertools, string
def find():
    above, tried = os.getcwd()[:-4], 0
    for letters in itertools.product(string.ascii_lowercase + string.digits, repeat=4):
        os.access(above + ''.join(letters), os.F_OK)
        tried += 1
        if tried >= 1_000_000 * scale or (tried % 1000 == 0 and spent(1.4)): break
    return tried
x = outcome(find)
";
];

/// Costs in the service, before code runs.
const LOADING: &[Probe] = &[Probe::cost(
    "deny_slow_globals",
    "Globals that take longer to load than a run has are tried once.",
    "each try takes a sandbox for as long as its limits say",
    "",
)
.plan(ProbePlan::Loaded {
    integers: 4_000_000,
    code: "x = 'succeeded', 'they were loaded'",
})];

/// Between two runs that both want to meet.
const CHANNELS: &[Probe] = channels![
    "deny_meeting_at_a_lock", "A lock on a library's file that is seen by another run delays nobody.",
    "two runs can tell each other bits",
    r"
import fcntl, json, time
file = os.open(json.__file__, os.O_RDONLY)
fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, 1000)
time.sleep(0.8)
",
    r"
import fcntl, json
file, FORM = os.open(json.__file__, os.O_RDONLY), 'hhqqi4x'
def seen():
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        question = struct.pack(FORM, fcntl.F_WRLCK, 0, 1000, 1, 0)
        if struct.unpack(FORM, fcntl.fcntl(file, fcntl.F_GETLK, question))[0] != fcntl.F_UNLCK: return ['a lock is seen']
    return []
x = outcome(seen)
";
    "deny_meeting_at_a_futex", "Waiting at a page of a library's file for another run delays nobody.",
    "two runs can wake each other",
    r"
import json
FUTEX_WAIT = 0
file = os.open(json.__file__, os.O_RDONLY)
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
page = libc.mmap(None, ctypes.c_size_t(4096), 1, 1, file, ctypes.c_long(0))
word = ctypes.c_uint32.from_address(page + 64).value
try: call('futex', page + 64, FUTEX_WAIT, word, struct.pack('qq', 0, 800_000_000), 0, 0)
except OSError: pass
",
    r"
import json
FUTEX_WAKE = 1
file = os.open(json.__file__, os.O_RDONLY)
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
page = libc.mmap(None, ctypes.c_size_t(4096), 1, 1, file, ctypes.c_long(0))
def woken():
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        if int(call('futex', page + 64, FUTEX_WAKE, 1, 0, 0, 0)): return ['a run was woken']
        time.sleep(0.01)
    return []
x = outcome(woken)
";
];
