//! Nothing of one run reaches another: neither the next run of the same worker nor a run beside it.

use codejail_harness::python::library;
use codejail_harness::{Run, Service};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::thread;

/// Everything that a run could find of another run, by name, as JSON values.
const SNAPSHOT: &str = r"
def snapshot():
    import builtins, gc, os, signal, sys, tempfile, threading, warnings
    import json, numpy, random
    return {
        'globals': sorted(g for g in globals() if g not in ('__builtins__', 'snapshot')),
        'modules': sorted(sys.modules),
        'builtins': sorted(vars(builtins)),
        'library': sorted(vars(numpy)),
        'library value': numpy.pi,
        'library switch': numpy.get_printoptions()['precision'],
        'module of the answer': sorted(vars(json)),
        'main': sorted(n for n in vars(sys.modules['__main__']) if n[:2] != '__'),
        'environment': sorted(os.environ.items()),
        'path': sys.path[1:],
        'hooks': [sys.excepthook is sys.__excepthook__, len(sys.meta_path)],
        'recursion': sys.getrecursionlimit(),
        'directory': os.path.basename(os.getcwd()) == os.path.basename(sys.path[0]),
        'files': sorted(os.listdir(sys.path[0])),
        'temporary files': os.listdir(os.path.join(sys.path[0], 'tmp')),
        'temporary directory': tempfile.tempdir,
        'signals': [str(signal.getsignal(s)) for s in sorted(signal.valid_signals())],
        'mask': sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        'alarm': signal.getitimer(signal.ITIMER_REAL)[0] > 0,
        'umask': (lambda mask: (os.umask(mask), mask)[1])(os.umask(0)),
        'descriptors': [fd for fd in range(256) if is_open(fd)],
        'warnings': len(warnings.filters),
        'threads': threading.active_count(),
        'collector': gc.get_threshold(),
        'limits': __import__('resource').getrlimit(__import__('resource').RLIMIT_NOFILE),
    }
def is_open(fd):
    import os
    try:
        return bool(os.fstat(fd))
    except OSError:
        return False
";

/// Changes each value of the snapshot.
const VANDAL: &str = r"
import builtins, gc, json, os, random, resource, signal, sys, tempfile, threading, time, types
import warnings, numpy
left = 1
sys.modules['left'] = types.ModuleType('left')
builtins.left = numpy.left = json.left = sys.modules['__main__'].left = 1
numpy.pi = 3
numpy.set_printoptions(precision=2)
os.environ['LEFT'] = '1'
sys.path.append('/left')
sys.excepthook = print
sys.setrecursionlimit(500)
os.mkdir('tmp/left')
tempfile.tempdir = 'left'
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
signal.setitimer(signal.ITIMER_REAL, 1000)
os.umask(0o77)
os.open('jailed_code', os.O_RDONLY)
warnings.simplefilter('ignore')
threading.Thread(target=time.sleep, args=(0.1,)).start()
gc.set_threshold(1)
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
";

/// Values that the vandal can't change, as `boundaries.rs` shows.
const OUT_OF_REACH: [&str; 1] = ["files"];

/// One worker that executes one run at a time, with numpy preloaded.
fn one_at_a_time() -> Service {
    Service::start("sandboxes_per_worker = 1\n[python]\npreload = ['numpy', 'random']")
}

fn snapshot(service: &Service, before: &str, after: &str) -> Value {
    let code = format!("{before}\n{SNAPSHOT}\nx = snapshot()\n{after}");
    service.value_of_x(&code)
}

#[test]
fn a_run_sees_nothing_of_the_one_before_it_on_the_same_worker() {
    let service = one_at_a_time();
    let workers = service.workers();
    let fresh = snapshot(&service, "", "");
    let vandalised = snapshot(&service, VANDAL, "os.chdir('tmp')");
    for (name, value) in fresh.as_object().unwrap() {
        if !OUT_OF_REACH.contains(&name.as_str()) && name != "directory" {
            assert_ne!(*value, vandalised[name], "{name} must show what was done");
        }
    }
    // The first of these runs get spare sandboxes that existed during the vandal's run. The others
    // get sandboxes that were forked after it.
    for _ in 0..4 {
        assert_eq!(snapshot(&service, "", ""), fresh);
    }
    let elsewhere = snapshot(&service, "import os; os.chdir('tmp')", "");
    assert_eq!(elsewhere["directory"], json!(false));
    assert_eq!(snapshot(&service, "", ""), fresh);
    assert_eq!(service.workers(), workers, "all this was one worker");
}

#[test]
fn globals_and_libraries_of_one_request_are_not_the_next_ones() {
    let service = one_at_a_time();
    let secret = Run::new("import course_lib; y = course_lib.z")
        .globals(r#"{"secret": "s3cr3t-in-the-globals"}"#)
        .library(library("course_lib", "z = 's3cr3t-in-the-library'"));
    assert_eq!(
        service.run(&secret).success()["y"],
        json!("s3cr3t-in-the-library")
    );
    for _ in 0..4 {
        let code = "import gc\nx = 'secret' in globals()\n\
                    y = any('s3cr3t' in o for d in gc.get_objects() if isinstance(d, dict) and d is not globals()\n        \
                    for o in d.values() if isinstance(o, str) and len(o) < 99)";
        let globals = service.execute(code).success();
        assert_eq!(globals, json!({"x": false, "y": false}));
        let import = service.execute("import course_lib");
        assert!(import.emsg().contains("ModuleNotFoundError"));
    }
}

#[test]
fn unseeded_randomness_is_never_the_same_twice() {
    let service = one_at_a_time();
    let code = "import os, random, secrets, uuid, numpy\n\
                x = [repr(random.random()), repr(random.Random().random()), \
                repr(numpy.random.random()), repr(numpy.random.default_rng().random()), \
                repr(numpy.random.RandomState().rand()), \
                str(uuid.uuid1()), str(uuid.uuid4()), secrets.token_hex(), os.urandom(8).hex()]";
    const RUNS: usize = 40;
    let runs: Vec<Value> = (0..RUNS).map(|_| service.value_of_x(code)).collect();
    for source in 0..9 {
        let values: BTreeSet<String> = runs.iter().map(|run| run[source].to_string()).collect();
        assert_eq!(values.len(), RUNS, "source {source}");
    }
}

#[test]
fn seeded_randomness_is_always_the_same() {
    let service = one_at_a_time();
    let code = "import random, numpy\nrandom.seed(1); numpy.random.seed(1)\n\
                x = [random.random(), numpy.random.random()]";
    // The same numbers as in a fresh CPython 3 with any version of numpy.
    let expected = json!([0.134_364_244_112_401_22, 0.417_022_004_702_574]);
    for _ in 0..3 {
        assert_eq!(service.value_of_x(code), expected);
    }
}

#[test]
fn runs_beside_each_other_can_neither_signal_nor_read_each_other() {
    let service = Service::start("sandboxes_per_worker = 2\n[limits]\nFSIZE = 1000");
    let waits = "import os, time\n\
                 with open('tmp/secret', 'w') as f: f.write('s3cr3t')\n\
                 while not os.path.exists('tmp/go'): time.sleep(0.01)\n\
                 x = os.listdir('tmp')";
    let attack = r"
import os
def outcome(attempt, *args):
    try:
        attempt(*args)
    except OSError as error:
        return type(error).__name__
    return 'done'
own = os.getpid()
pids = [pid for pid in range(1, 200) if pid != own] + [-1, 0, -own]
signals = sorted({outcome(os.kill, pid, signal) for pid in pids for signal in (0, 9)})
proc = sorted({outcome(open, f'/proc/{pid}/{file}') for pid in host
               for file in ('environ', 'cmdline', 'mem', 'maps', 'status', 'fd', 'root')})
priorities = sorted({outcome(os.setpriority, os.PRIO_PROCESS, pid, 19) for pid in pids if pid})
files = [outcome(open, path + '/tmp/secret'), outcome(os.listdir, path), outcome(os.listdir, root),
         outcome(os.mkdir, path + '/tmp/go'), outcome(os.unlink, path + '/tmp/secret'),
         outcome(os.rename, path + '/tmp', path + '/t'), outcome(open, path + '/jailed_code')]
";
    thread::scope(|scope| {
        let waiting = scope.spawn(|| service.execute(waits));
        let path = service.wait_for_mark("secret");
        let host = service.lasting_pids();
        let inside = service.seen_inside(&path);
        let globals = json!({"path": inside, "root": service.scratch_root(), "host": host});
        let attacked = service
            .run(&Run::new(attack).globals(globals.to_string()))
            .success();
        let denied = json!(["PermissionError"]);
        assert_eq!(attacked["signals"], denied, "{attacked}");
        assert_eq!(attacked["proc"], denied, "{attacked}");
        assert_eq!(attacked["priorities"], denied, "{attacked}");
        assert_eq!(
            attacked["files"],
            json!(vec!["PermissionError"; 7]),
            "{attacked}"
        );
        std::fs::create_dir(path.join("tmp/go")).expect("mkdir");
        let answer = waiting.join().unwrap().success();
        let mut found: Vec<_> = answer["x"].as_array().unwrap().clone();
        found.sort_by_key(ToString::to_string);
        assert_eq!(
            found,
            [json!("go"), json!("secret")],
            "the other ran on untouched"
        );
    });
}
