//! What a run can make the kernel do, and no limit of the run counts: work after the run's end,
//! work in another process's time, and use of the kernel's own memory. Each test shows two things:
//! the attack does no harm, and without the remedy it would. docs/weaknesses.md has the table.

use codejail_harness::Service;
use codejail_harness::Setup;
use codejail_harness::binary::Build;
use codejail_harness::machine;
use codejail_harness::wait::{START_MAX, wait_for};
use serde_json::{Value, json};
use std::thread;

/// A service of the build for tests that does not filter system calls.
fn without_seccomp(unprivileged: bool, more: &str) -> Service {
    without(unprivileged, &format!("{more}\n[layers]\nseccomp = 'off'"))
}

pub fn without(unprivileged: bool, overrides: &str) -> Service {
    let service = Service::launch(&Setup {
        overrides,
        unprivileged,
        build: Build::Sabotage,
        ..Setup::default()
    });
    service.wait_until_ready();
    service
}

/// A service of root, and a service of an ordinary user.
pub fn both(overrides: &str) -> [Service; 2] {
    [
        Service::start(overrides),
        Service::start_unprivileged(overrides),
    ]
}

/// Splits one lock many times, and closes descriptors: each close walks the list of locks. Says how
/// many times as long such a close takes as the close of another file.
const LOCKS: &str = r"
import fcntl, os, struct, time
open('tmp/locked', 'w').close()
fd = os.open('tmp/locked', os.O_RDONLY)
def lock(kind, start, length):
    return fcntl.fcntl(fd, 37, struct.pack('hhqqi4x', kind, 0, start, length, 0))   # F_OFD_SETLK
end = 1 << 50
lock(fcntl.F_RDLCK, 0, end)
for n in range(20000): lock(fcntl.F_UNLCK, end - 2 - 2 * n, 1)
def least(descriptor):
    times = []
    for _ in range(50):
        copy = os.dup(descriptor); begun = time.perf_counter(); os.close(copy)
        times.append(time.perf_counter() - begun)
    return min(times)
x = least(fd) / least(0)
";

#[test]
fn a_run_has_no_record_locks_whose_list_its_end_would_walk() {
    let _alone = machine::alone();
    let times_a_close = |service: &Service| {
        let x = service.value_of_x(LOCKS);
        x.as_f64().unwrap_or_else(|| panic!("{x}"))
    };
    for service in both("") {
        let times = times_a_close(&service);
        assert!(times < 20.0, "{times}");
    }
    for unprivileged in [false, true] {
        let times = times_a_close(&without_seccomp(unprivileged, ""));
        assert!(times > 20.0, "{times}");
    }
}

/// Locks one byte of a library's file for each bit of a number, and holds the locks.
const TELL: &str = r"
import fcntl, json, os, time
fd = os.open(json.__file__, os.O_RDONLY)
for bit in range(8):
    if 0xa5 >> bit & 1: fcntl.lockf(fd, fcntl.LOCK_SH, 1, 4000 + bit)
os.mkdir('tmp/told')
time.sleep(2)
";

/// Asks which bytes are locked.
const HEAR: &str = r"
import fcntl, json, os, struct
fd = os.open(json.__file__, os.O_RDONLY)
def is_locked(byte):
    asked = struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, byte, 1, 0)
    return struct.unpack('hhqqi4x', fcntl.fcntl(fd, fcntl.F_GETLK, asked))[0] != fcntl.F_UNLCK
x = sum(is_locked(4000 + bit) << bit for bit in range(8))
";

#[test]
fn a_run_does_not_see_the_record_locks_of_another_on_a_librarys_file() {
    let heard = |service: &Service| {
        thread::scope(|scope| {
            let telling = scope.spawn(|| service.execute(TELL));
            let heard = wait_for("a number or the end", START_MAX, || {
                let x = service.value_of_x(HEAR);
                (x != json!(0) || telling.is_finished()).then_some(x)
            });
            telling.join().expect("a thread").success();
            heard
        })
    };
    for service in both("workers = 2") {
        assert_eq!(heard(&service), json!(0));
    }
    assert_eq!(heard(&without_seccomp(false, "workers = 2")), json!(0xa5));
}

/// Programs that lock and flush files get the same answers as where the kernel does both.
#[test]
fn programs_that_lock_and_flush_answer_as_if_both_were_done() {
    let code = r"
import fcntl, mailbox, mmap, os, shelve, socket, sqlite3, tempfile
x = {}
for mode in ('delete', 'wal'):
    name = f'tmp/{mode}.db'
    with sqlite3.connect(name) as one:
        one.execute(f'pragma journal_mode={mode}')
        one.execute('create table t (a)')
        one.execute('insert into t values (1)')
    two = sqlite3.connect(name, timeout=0.01)
    one.execute('begin immediate')
    one.execute('insert into t values (2)')
    try: two.execute('begin immediate')
    except sqlite3.OperationalError as error: refused = str(error)
    one.commit()
    x[mode] = [refused, two.execute('select sum(a) from t').fetchone()[0]]
with shelve.open('tmp/shelf') as shelf: shelf['a'] = [1]
with shelve.open('tmp/shelf') as shelf: x['shelf'] = shelf['a']
box = mailbox.mbox('tmp/box'); box.lock(); box.add('From: a\n\nb'); box.flush(); box.unlock()
x['box'] = len(box)
with tempfile.NamedTemporaryFile(dir='tmp') as file:
    file.write(b'text'); file.flush(); os.fsync(file.fileno()); os.fdatasync(file.fileno())
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB); fcntl.lockf(file, fcntl.LOCK_UN)
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    memory = mmap.mmap(file.fileno(), 4); memory[:] = b'done'; memory.flush(); memory.close()
    x['file'] = open(file.name).read()
del one, two, shelf, file, box, memory
";
    let expected = json!({
        "delete": ["database is locked", 3], "wal": ["database is locked", 3],
        "shelf": [1], "box": 1, "file": "done",
    });
    let expected = |x: Value| assert_eq!(x, expected);
    // The index of SQLite's write-ahead log has 32 KiB at least.
    let files = "limits.FSIZE = 1000000";
    for service in both(files) {
        expected(service.value_of_x(code));
    }
    expected(without_seccomp(false, files).value_of_x(code));
}

/// The calls that flush a disk get a pipe, or an address without memory. If such a call came to the
/// kernel, the answer would be an error.
#[test]
fn a_run_flushes_no_disk_and_reads_none_past_the_memory_that_keeps_files() {
    let code = r"
import ctypes, errno, fcntl, json, mmap, os
libc = ctypes.CDLL(None, use_errno=True)
def outcome(function, *arguments):
    ctypes.set_errno(0)
    try: result = function(*arguments)
    except OSError as error: return errno.errorcode[error.errno]
    return errno.errorcode[ctypes.get_errno()] if result == -1 else 'done'
pipe = os.pipe()[0]
x = [outcome(os.fsync, pipe), outcome(os.fdatasync, pipe),
     # MS_ASYNC and MS_SYNC of a page where nothing is.
     outcome(libc.msync, ctypes.c_void_p(4096), 4096, 1), outcome(libc.msync, ctypes.c_void_p(4096), 4096, 4),
     outcome(os.posix_fadvise, pipe, 0, 0, os.POSIX_FADV_WILLNEED),
     outcome(os.posix_fadvise, pipe, 0, 0, os.POSIX_FADV_DONTNEED),
     outcome(os.open, json.__file__, os.O_RDONLY | os.O_DIRECT),
     outcome(fcntl.fcntl, pipe, fcntl.F_SETFL, os.O_DIRECT)]
";
    let confined = json!([
        "done", "done", "ENOMEM", "done", "ESPIPE", "done", "EACCES", "EACCES"
    ]);
    for service in both("") {
        assert_eq!(service.value_of_x(code), confined);
    }
    // The file system of Python's files may not support O_DIRECT.
    let open = without_seccomp(false, "").value_of_x(code);
    let asked = ["EINVAL", "EINVAL", "ENOMEM", "ENOMEM", "ESPIPE", "ESPIPE"];
    let found = open.as_array().expect("outcomes");
    assert_eq!(found[..6], asked, "{open}");
    assert_ne!(found[6], "EACCES");
    assert_eq!(found[7], "done");
}

#[test]
fn a_runs_sockets_hold_no_more_of_the_kernels_memory_than_the_hosts_default() {
    let code = r"
import socket
a, b = socket.socketpair()
before = a.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
for option in (socket.SO_SNDBUF, socket.SO_RCVBUF): a.setsockopt(socket.SOL_SOCKET, option, before * 4)
x = a.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) / before
a = b = None
";
    for service in both("") {
        assert_eq!(service.value_of_x(code), json!(1.0));
    }
    assert_ne!(without_seccomp(false, "").value_of_x(code), json!(1.0));
}

/// To wake a wait queue takes the kernel time for each waiter in it. The number of descriptors
/// bounds the number of waiters.
#[test]
fn a_run_has_as_many_descriptors_as_the_configuration_says_and_no_named_pipe() {
    let code = r"
import os, select
def until_refused(make):
    n = 0
    try:
        while True: make(); n += 1
    except OSError as error: return n, error.errno
copies = until_refused(lambda: os.dup(0))
try: os.mkfifo('tmp/pipe'); pipe = 'made'
except PermissionError: pipe = 'refused'
x = [copies, pipe]
";
    for service in both("") {
        // Each run has four of its 256 descriptors from the beginning.
        assert_eq!(service.value_of_x(code), json!([[252, 24], "refused"]));
    }
    let more = Service::start("descriptors_max = 100");
    assert_eq!(more.value_of_x(code), json!([[96, 24], "refused"]));
    let overrides = "[layers]\nseccomp = 'off'\nlandlock = 'off'\nrlimits = 'off'";
    let open = Service::launch(&Setup {
        overrides,
        starter: &["sh", "-c", "ulimit -n 5000 && exec \"$@\"", "sh"],
        build: Build::Sabotage,
        ..Setup::default()
    });
    open.wait_until_ready();
    let found = open.value_of_x(code);
    assert!(found[0][0].as_u64() > Some(1000), "{found}");
    assert_eq!(found[1], "made");
}

/// `libc`, and a page of a library's file that is mapped to be read.
const PAGE: &str = r"
import ctypes, json, mmap, os, time
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
page = libc.mmap(None, ctypes.c_size_t(4096), mmap.PROT_READ, mmap.MAP_SHARED, os.open(json.__file__, os.O_RDONLY),
                 ctypes.c_long(0))
def futex(operation, value, times=None):
    return libc.syscall(202, ctypes.c_void_p(page), operation, ctypes.c_uint32(value), times, None, 0)
";

/// This channel between runs stays open: docs/weaknesses.md says why.
#[test]
fn runs_can_meet_at_a_futex_on_a_librarys_file() {
    if std::env::consts::ARCH != "x86_64" {
        return;
    }
    let wait = format!(
        "{PAGE}two_seconds = (ctypes.c_long * 2)(2, 0)\n\
         x = futex(0, ctypes.c_uint32.from_address(page).value, two_seconds)\n\
         two_seconds = None"
    );
    let service = Service::start("workers = 2");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| service.value_of_x(&wait));
        let woken = wait_for("somebody who waits", START_MAX, || {
            let woken = service.value_of_x(&format!("{PAGE}x = futex(1, 1)"));
            (woken == json!(1) || waiting.is_finished()).then_some(woken)
        });
        assert_eq!(woken, json!(1));
        assert_eq!(waiting.join().expect("a thread"), json!(0), "it was woken");
    });
}
