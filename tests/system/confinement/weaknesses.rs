//! Each test shows that codejail does not have one of the original's documented weaknesses.
//! docs/weaknesses.md lists all of them, with their tests.

use codejail_harness::Run;
use codejail_harness::Setup;
use codejail_harness::binary::Build;
use codejail_harness::machine;
use codejail_harness::root::is_root;
use codejail_harness::wait::END_MAX;
use codejail_harness::wait::wait_for;
use codejail_harness::{Service, needs_root};
use nix::errno::Errno;
use serde_json::json;
use std::fs;
use std::thread;

#[test]
fn two_runs_beside_each_other_have_each_the_whole_number_of_threads() {
    needs_root!();
    let service = Service::start("sandboxes_per_worker = 2\n[limits]\nNPROC = 15");
    // This makes 14 threads, with the main thread. 15 are allowed.
    let threads = "import os, threading, time\n\
                   done = threading.Event()\n\
                   for _ in range(13): threading.Thread(target=done.wait).start()\n";
    let held = format!(
        "{threads}os.mkdir('tmp/held')\n\
         while os.path.exists('tmp/held'): time.sleep(0.01)\n\
         done.set(); x = 'held'"
    );
    thread::scope(|scope| {
        let holding = scope.spawn(|| service.execute(&held));
        let directory = service.wait_for_mark("held");
        let beside = format!("{threads}done.set(); x = 'beside'");
        assert_eq!(service.value_of_x(&beside), "beside");
        let more = threads
            .replace("13", "15")
            .replace("wait)", "wait, daemon=True)");
        let emsg = service.execute(&more).emsg();
        assert!(emsg.contains("start new thread"), "{emsg}");
        fs::remove_dir(directory.join("tmp/held")).expect("rmdir");
        assert_eq!(holding.join().unwrap().success()["x"], "held");
    });
}

/// Two services. With the layer `mounts`, the bytes and the number of a run's files are bounded.
/// Without that layer only the size of each file is.
#[test]
fn a_run_cannot_take_more_space_or_files_than_it_is_given() {
    let code = "import errno, os\n\
                def until_refused(make):\n\
                \x20   for n in range(2000):\n\
                \x20       try: make(n)\n\
                \x20       except OSError as error: return errno.errorcode[error.errno], n\n\
                \x20   return 'never', 2000\n\
                def fill(n):\n\
                \x20   with open(f'tmp/{n % 20}-{n // 20}', 'wb') as file: file.write(bytes(10000))\n\
                x = [until_refused(fill)[0]]\n\
                for name in os.listdir('tmp'): os.unlink('tmp/' + name)\n\
                x.append(until_refused(lambda n: os.mkdir(f'tmp/{n}'))[0])";
    let bounds = "scratch_bytes_max = 2000000\nscratch_files_max = 500\n[limits]\nFSIZE = 20000\n";
    let bounded = Service::launch(&Setup {
        overrides: &format!("{bounds}[layers]\nmounts = 'require'"),
        ..Setup::default()
    });
    bounded.wait_until_healthy();
    for _ in 0..20 {
        assert_eq!(bounded.value_of_x(code), json!(["ENOSPC", "ENOSPC"]));
    }
    let unbounded = Service::start(&format!("{bounds}[layers]\nmounts = 'off'"));
    assert_eq!(unbounded.value_of_x(code), json!(["never", "never"]));
}

/// The original looks every 250 ms, so a limit of 300 ms ended a run after up to 550.
#[test]
fn a_run_is_ended_when_its_time_is_over_and_not_a_quarter_of_a_second_later() {
    let _alone = machine::alone();
    let service = Service::start("");
    // The run writes its age as long as it lives, each age once: otherwise it would write more than
    // an answer holds.
    let code = "import os, time\nstart, said = time.monotonic(), ''\nwhile True:\n    \
                age = f'{time.monotonic() - start:.3f} '\n    \
                if age != said: os.write(2, age.encode())\n    \
                said = age";
    let mut overruns: Vec<f64> = (0..10)
        .filter_map(|_| {
            let emsg = service.run(&Run::new(code).context("short")).emsg();
            assert!(emsg.ends_with("status code: -9"), "{emsg}");
            // On a busy machine the run may have written nothing.
            let (said, _) = emsg.rsplit_once(" ' with")?;
            let last = said.rsplit([' ', '\'']).next().expect("its last word");
            Some(last.parse::<f64>().expect("seconds") / 0.3)
        })
        .collect();
    overruns.sort_by(f64::total_cmp);
    // The best of ten counts, since a busy machine may delay each of them.
    assert!((0.5..1.2).contains(&overruns[0]), "{overruns:?}");
}

/// All sandboxes of a worker share its network namespace: a namespace for each sandbox would cost
/// more than it is worth.
#[test]
fn runs_of_one_worker_can_meet_at_an_abstract_name_and_say_nothing_else_there() {
    needs_root!();
    let bind = "import os, socket, time\n\
                def outcome(attempt, *arguments):\n    \
                    try: attempt(*arguments)\n    \
                    except OSError as error: return error.errno\n    \
                    return 'done'\n\
                meeting = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
                x = [outcome(meeting.bind, '\\0codejail-meeting')]\n";
    let waits = format!(
        "{bind}os.mkdir('tmp/bound')\n\
         while os.path.exists('tmp/bound'): time.sleep(0.01)\n\
         meeting.setblocking(False); x.append(outcome(meeting.recv, 9))"
    );
    let meets = format!(
        "{bind}x += [outcome(meeting.connect, '\\0codejail-meeting'), \
         outcome(meeting.sendto, b'data', '\\0codejail-meeting')]"
    );
    let codes = |numbers: &[i32]| json!(numbers);
    let service = Service::start("sandboxes_per_worker = 2");
    let other_worker = Service::start("");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| service.value_of_x(&waits));
        let directory = service.wait_for_mark("bound");
        let met = codes(&[
            Errno::EADDRINUSE as i32,
            Errno::EACCES as i32,
            Errno::EACCES as i32,
        ]);
        assert_eq!(service.value_of_x(&meets), met);
        // A run of another worker does not even learn that the name is taken.
        let apart = json!(["done", Errno::EACCES as i32, Errno::EACCES as i32]);
        assert_eq!(other_worker.value_of_x(&meets), apart);
        fs::remove_dir(directory.join("tmp/bound")).expect("rmdir");
        assert_eq!(
            waiting.join().unwrap(),
            json!(["done", Errno::EAGAIN as i32])
        );
    });
}

#[test]
fn nothing_gains_privileges_by_running_a_program() {
    let service = Service::start("");
    // PR_GET_NO_NEW_PRIVS: 1 means that this process can't gain rights by starting sudo or another
    // set-user-id program.
    let code = "import ctypes; x = ctypes.CDLL(None).prctl(39, 0, 0, 0, 0)";
    assert_eq!(service.value_of_x(code), json!(1));
    if is_root() {
        service.wait_for_processes(2 + 1 + 2);
        for worker in service.workers() {
            let status = fs::read_to_string(format!("/proc/{}/status", worker.pid));
            let status = status.expect("its status");
            let field = |name: &str| -> String {
                let line = status.lines().find_map(|line| line.strip_prefix(name));
                line.expect("a field").trim().to_owned()
            };
            assert_eq!(field("NoNewPrivs:"), "1");
            // CAP_KILL, CAP_SETGID and CAP_SETUID, for the uids of its own sandboxes.
            assert_eq!(field("CapBnd:"), "00000000000000e0");
        }
    }
}

/// Two layers. seccomp: the run can't make a process. Without seccomp: the worker ends such
/// processes after the run.
#[test]
fn no_process_outlives_its_run() {
    needs_root!();
    let code = "import os, signal, time\n\
                def stay():\n\
                \x20   signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
                \x20   os.setsid() if os.fork() == 0 else None\n\
                \x20   time.sleep(1000)\n\
                if os.fork() == 0: stay()\n\
                x = 1";
    let service = Service::start("");
    assert!(service.execute(code).emsg().contains("BlockingIOError"));
    let without = Service::launch(&Setup {
        overrides: "[layers]\nseccomp = 'off'",
        build: Build::Sabotage,
        ..Setup::default()
    });
    without.wait_until_ready();
    let workers = without.workers();
    for _ in 0..20 {
        assert_eq!(without.value_of_x(code), json!(1));
    }
    // Supervisor, spawner, worker, and two sandboxes that wait.
    without.wait_for_processes(2 + 1 + 2);
    assert_eq!(without.workers(), workers);
}

/// Two layers. seccomp denies the calls. Without seccomp, a worker's IPC namespace allows no such
/// object.
#[test]
fn no_memory_segment_semaphore_or_queue_outlives_its_run() {
    needs_root!();
    let code = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n\
                def make(call, *arguments):\n\
                \x20   made = getattr(libc, call)(4711, *arguments)\n\
                \x20   return made if made >= 0 else -ctypes.get_errno()\n\
                x = [make('shmget', 4096, 0o1666), make('semget', 1, 0o1666), make('msgget', 0o1666)]";
    let service = Service::start("");
    assert_eq!(service.value_of_x(code), json!([-13, -13, -13]));
    let without = |layers: &str| {
        let service = Service::launch(&Setup {
            overrides: &format!("[layers]\nseccomp = 'off'\n{layers}"),
            build: Build::Sabotage,
            ..Setup::default()
        });
        service.wait_until_ready();
        let made = service.value_of_x(code);
        let ipc = fs::read_to_string("/proc/sysvipc/shm").expect("segments");
        drop(service);
        (made, ipc)
    };
    // ENOSPC, EINVAL, ENOSPC: the namespace allows none.
    assert_eq!(without("").0, json!([-28, -22, -28]));
    let (made, host) = without("namespaces = 'off'\nmounts = 'off'");
    let made: Vec<i64> = serde_json::from_value(made).expect("numbers");
    assert!(made.iter().all(|id| *id >= 0), "{made:?}");
    assert!(host.contains("4711"), "the host's own: {host}");
    for (kind, id) in ["-m", "-s", "-q"].iter().zip(made) {
        let removed = std::process::Command::new("ipcrm")
            .args([kind, &*id.to_string()])
            .status();
        assert!(removed.expect("ipcrm").success());
    }
    wait_for("their removal", END_MAX, || {
        let ipc = fs::read_to_string("/proc/sysvipc/shm").expect("segments");
        (!ipc.contains("4711")).then_some(())
    });
}
