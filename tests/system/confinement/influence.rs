//! One run, the vandal, tries everything to influence the runs after it and beside it, on its own
//! worker and on another. The other runs find nothing changed, and nothing of the vandal stays.

use codejail_harness::Run;
use codejail_harness::machine;
use codejail_harness::wait::END_MAX;
use codejail_harness::wait::wait_for;
use codejail_harness::{Service, needs_root};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::thread;

/// What a run finds. The vandal tries to change all of it.
const LOOK: &str = r"
import ctypes, os, resource, signal, threading
def look():
    room = os.statvfs('tmp')
    threads = [threading.Thread(target=event.wait) for event in [threading.Event()] for _ in range(10)]
    for thread in threads: thread.daemon = True
    for thread in threads: thread.start()
    names = [name for name in dir(resource) if name.startswith('RLIMIT_')]
    return {
        'files': sorted(os.listdir('.')), 'tmp': os.listdir('tmp'),
        'room': room.f_bavail * room.f_frsize, 'inodes': room.f_favail,
        'priority': os.getpriority(os.PRIO_PROCESS, 0), 'affinity': sorted(os.sched_getaffinity(0)),
        'scheduler': os.sched_getscheduler(0),
        'limits': {name: resource.getrlimit(getattr(resource, name)) for name in names},
        'signals': [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
        'mask': sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        'umask': os.umask(0),
        'memory': [name for name in ('shmget', 'semget', 'msgget') if exists(name)],
        'script': len(open('jailed_code').read()),
    }
def exists(call):
    # Of the vandal's key, without making it.
    return getattr(ctypes.CDLL(None), call)(4711, 1, 0) != -1
x = look()
";

/// Each attempt may fail, and most do. After them the vandal does not end by itself.
const VANDAL: &str = r"
import ctypes, fcntl, mmap, os, resource, signal, socket, sys, threading, time
libc = ctypes.CDLL(None)
tried = 0
def attempt(function, *arguments):
    global tried
    tried += 1
    try:
        return function(*arguments)
    except (OSError, ValueError, RuntimeError):
        return None
os.mkdir('tmp/vandal')
others = [pid for pid in range(1, 60) if pid != os.getpid()] + [os.getppid()]
for pid in others:
    for number in (signal.SIGSTOP, signal.SIGKILL, signal.SIGTERM):
        attempt(os.kill, pid, number)
    for limit in (resource.RLIMIT_CPU, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC):
        attempt(resource.prlimit, pid, limit, (0, 0))
    attempt(os.sched_setaffinity, pid, [0])
    attempt(os.sched_setscheduler, pid, os.SCHED_IDLE, os.sched_param(0))
    attempt(os.setpriority, os.PRIO_PROCESS, pid, 19)
    attempt(os.setpriority, os.PRIO_PGRP, pid, 19)
    attempt(open, f'/proc/{pid}/mem', 'r+b')
    attempt(open, f'/proc/{pid}/oom_score_adj', 'w')
    attempt(os.open, f'/proc/{pid}/root', os.O_RDONLY)
    attempt(os.open, f'/proc/{pid}/fd/63', os.O_WRONLY)
attempt(os.setpriority, os.PRIO_USER, 0, 19)
attempt(os.kill, -1, signal.SIGKILL)
attempt(os.killpg, 0, 0)
a, b = socket.socketpair()
attempt(fcntl.fcntl, a, fcntl.F_SETOWN, os.getppid())
# Memory that outlives its maker.
for call in ('shmget', 'semget', 'msgget'):
    attempt(getattr(libc, call), 4711, 4096, 0o1666)
attempt(libc.shm_open, b'/vandal', os.O_CREAT | os.O_RDWR, 0o666)
attempt(libc.memfd_create, b'vandal', 0)
attempt(libc.mq_open, b'/vandal', os.O_CREAT | os.O_RDWR, 0o666, None)
attempt(mmap.mmap, -1, 1 << 20)
# Files: of others, of the interpreter, its own; all the space, all the inodes, what is hard to remove.
for path in ('jailed_code', 'python_lib.zip', os.__file__, sys.executable, '/dev/null', '/dev/shm/vandal',
             '/tmp/vandal', '../vandal', '/etc/vandal', '/vandal'):
    attempt(open, path, 'w')
    attempt(os.chmod, path, 0)
    attempt(os.unlink, path)
    attempt(os.symlink, '/', path)
    attempt(lambda: fcntl.lockf(os.open(path, os.O_RDWR), fcntl.LOCK_EX))
deep = 'tmp/deep'
os.mkdir(deep)
here = os.getcwd()
os.chdir(deep)
for _ in range(300):
    attempt(os.mkdir, 'd'); attempt(os.chdir, 'd')
os.chdir(here)
attempt(os.chmod, deep, 0)
for n in range(20000):
    if attempt(os.mkdir, f'tmp/{n}') is None and not os.path.exists(f'tmp/{n}'): break
for n in range(100):
    def fill():
        with open(f'tmp/vandal/{n}', 'wb') as f: f.write(bytes(1 << 20))
    attempt(fill)
# Descriptors: all of them taken, and something said on each.
for fd in range(3, 256):
    # The status pipe is one too; what is said there ends the run: `claims.rs`.
    if fd != 63: attempt(os.write, fd, b'\xff' * 64)
while attempt(os.dup, 0) is not None: pass
# Processes and threads, as many as there may be, none of which ends.
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(30):
    attempt(threading.Thread(target=time.sleep, args=(1000,)).start)
attempt(os.fork)
attempt(os.setsid)
resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))
attempt(resource.setrlimit, resource.RLIMIT_NPROC, (1, 1))
while True: time.sleep(1)
";

#[test]
fn a_run_that_tries_everything_changes_nothing_for_those_after_it_and_beside_it() {
    needs_root!();
    let _alone = machine::alone();
    let service = Service::start(
        "workers = 2\nsandboxes_per_worker = 2\nscratch_bytes_max = 4000000\n\
         scratch_files_max = 2000\n[limits]\nFSIZE = 2000000\nREALTIME = 6\nNPROC = 15\n\
         [limit_overrides.patient]\nREALTIME = 120",
    );
    let workers: Vec<_> = service.workers();
    let look = || service.execute(LOOK).success()["x"].take();
    let before = look();
    let beside = "import os, time\nos.mkdir('tmp/beside')\n\
                  while not os.path.exists('tmp/go'): time.sleep(0.01)";
    thread::scope(|scope| {
        // Runs on both workers, while the vandal is active.
        let long = ["[0]", "[1]"].map(|_| {
            let code = format!("{beside}\nos.rmdir('tmp/go'); os.rmdir('tmp/beside')\n{LOOK}");
            let service = &service;
            scope.spawn(move || service.run(&Run::new(code).context("patient")))
        });
        for vandal in 0..2 {
            let run = Run::new(VANDAL).globals(json!({ "id": vandal }).to_string());
            let answer = service.run(&run);
            assert!(answer.emsg().ends_with("status code: -9"), "{answer:?}");
            assert_eq!(answer.globals(), json!({ "id": vandal }));
            assert_eq!(service.workers(), workers, "none was lost");
            // More runs than there are seats: each seat that the vandal had is used again.
            for _ in 0..30 {
                assert_eq!(look(), before);
            }
        }
        let go = || {
            let mut beside = service.scratch_directories();
            beside.retain(|directory| directory.join("tmp/beside").exists());
            (beside.len() == 2).then_some(beside)
        };
        for directory in wait_for("the two beside", END_MAX, go) {
            let (go, owner) = (directory.join("tmp/go"), owner(&directory));
            fs::create_dir(&go).expect("mkdir");
            chown(&go, owner, owner).expect("chown");
        }
        for beside in long {
            let seen = beside.join().unwrap().success()["x"].take();
            assert_eq!(seen, before);
        }
    });
    assert_eq!(service.workers(), workers);
    service.wait_for_processes(2 + 2 + 8);
}

/// The uid of the sandbox that has this directory.
fn owner(directory: &Path) -> Option<u32> {
    let metadata = directory.join("tmp").metadata().expect("its tmp");
    Some(metadata.uid())
}
