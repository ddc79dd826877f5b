//! Plants: one run leaves something behind, and the next runs look for it.

use crate::probe::Need::Module;
use crate::probe::{Probe, ProbePlan};

/// Why one layer is enough for what is inside a process.
const FRESH: &str = "each run has a process of its own; no other layer could stop this";

macro_rules! inside {
    ($name:literal, $shows:literal, $plant:expr, $look:expr) => {
        Probe::surface($name, $shows, FRESH, "").plan(ProbePlan::Planted {
            plant: $plant,
            look: $look,
        })
    };
}

macro_rules! outside {
    ($name:literal, $shows:literal, $plant:expr, $look:expr) => {
        Probe::harm($name, $shows, "").plan(ProbePlan::Planted {
            plant: $plant,
            look: $look,
        })
    };
}

/// The probes of the group.
pub const PROBES: &[Probe] = &[
    outside!(
        "deny_leaving_files_in_the_hosts_tmp",
        "A file can't be left among the host's temporary files.",
        "kept = new_name('/tmp')\nx = outcome(lambda: open(kept, 'x').close(), FILES)",
        "x = outcome(lambda: os.unlink(kept), FILES)"
    ),
    outside!(
        "deny_leaving_files_in_shared_memory",
        "A file can't be left in /dev/shm.",
        "kept = new_name('/dev/shm')\nx = outcome(lambda: open(kept, 'x').close(), FILES)",
        "x = outcome(lambda: os.unlink(kept), FILES)"
    ),
    Probe::harm(
        "deny_leaving_files_in_tmp",
        "A file in the run's own tmp is gone for later runs.",
        "",
    )
    .plan(ProbePlan::Left {
        plant: "open('tmp/left', 'x').close()\nkept = os.path.abspath('tmp/left')",
        look: "x = outcome(lambda: still(lambda: open(kept).fileno()), FILES)",
    }),
    Probe::harm(
        "deny_finding_directories_of_earlier_runs",
        "A run's directory is gone for later runs.",
        "",
    )
    .plan(ProbePlan::Left {
        plant: "kept = os.getcwd()\nos.mkdir('tmp/planted')",
        look: "x = outcome(lambda: still(lambda: os.stat(kept + '/tmp/planted')), FILES)",
    }),
    outside!(
        "deny_leaving_a_process",
        "A process can't be left running.",
        "def leave():\n    \
             pid = os.fork()\n    \
             if pid == 0:\n        \
                 for number in range(3): os.close(number)\n        \
                 time.sleep(5)\n        \
                 os._exit(0)\n    \
             return pid\n\
         def remember():\n    \
             globals()['kept'] = leave()\n\
         x = outcome(remember, FORKS)",
        "x = outcome(lambda: os.kill(kept, 0), PROCESSES)"
    ),
    inside!(
        "deny_leaving_a_thread",
        "A thread does not run on in a later run's process.",
        "import threading\nthreading.Thread(target=time.sleep, args=(2,), daemon=True).start()",
        "import threading\nx = outcome(lambda: threading.active_count() > 1)"
    ),
    outside!(
        "deny_leaving_shared_memory",
        "A shared memory segment can't be left.",
        "CREATE, KEY = 0o1000, 0x70726F62\n\
         x = outcome(lambda: call('shmget', KEY, 4096, CREATE | 0o666), (*CALLS, 'ENOSPC'))",
        "REMOVE, KEY = 0, 0x70726F62\n\
         x = outcome(lambda: call('shmctl', call('shmget', KEY, 0, 0), REMOVE, None), (*CALLS, 'ENOENT'))"
    ),
    outside!(
        "deny_leaving_semaphores",
        "Semaphores can't be left.",
        "CREATE, KEY = 0o1000, 0x70726F62\nx = outcome(lambda: call('semget', KEY, 1, CREATE | 0o666), (*CALLS, 'EINVAL'))",
        "REMOVE, KEY = 0, 0x70726F62\n\
         x = outcome(lambda: call('semctl', call('semget', KEY, 0, 0), 0, REMOVE), (*CALLS, 'ENOENT'))"
    ),
    outside!(
        "deny_leaving_messages",
        "A message queue of the older kind can't be left.",
        "CREATE, KEY = 0o1000, 0x70726F62\nx = outcome(lambda: call('msgget', KEY, CREATE | 0o666), (*CALLS, 'ENOSPC'))",
        "REMOVE, KEY = 0, 0x70726F62\n\
         x = outcome(lambda: call('msgctl', call('msgget', KEY, 0), REMOVE, None), (*CALLS, 'ENOENT'))"
    ),
    outside!(
        "deny_leaving_a_message_queue",
        "A message queue of the newer kind can't be left.",
        "x = outcome(lambda: call('mq_open', b'codejail-probe', os.O_CREAT | os.O_RDWR, 0o666, None), (*CALLS, 'EMFILE'))",
        "x = outcome(lambda: call('mq_unlink', b'codejail-probe'), (*CALLS, 'ENOENT'))"
    ),
    outside!(
        "deny_leaving_a_key",
        "A key can't be left in the user's keyring.",
        "OF_THE_USER = -4\n\
         x = outcome(lambda: call('add_key', b'user', b'codejail-probe', b'x', 1, OF_THE_USER))",
        "OF_THE_USER, READ_KEYRING = -4, 11\n\
         out = ctypes.create_string_buffer(1024)\n\
         x = outcome(lambda: call('keyctl', READ_KEYRING, OF_THE_USER, out, 1024, 0) > 0, (*CALLS, 'ENOKEY'))"
    ),
    inside!(
        "deny_leaving_modules",
        "A module that a run puts in place is not there in later ones.",
        "import types\nsys.modules['planted'] = types.ModuleType('planted')",
        "x = outcome(lambda: 'planted' in sys.modules)"
    ),
    inside!(
        "deny_leaving_builtins",
        "A changed builtin is not there in later runs.",
        "import builtins\nbuiltins.planted = 1",
        "import builtins\nx = outcome(lambda: hasattr(builtins, 'planted'))"
    ),
    inside!(
        "deny_leaving_changes_in_the_library",
        "A changed module of Python's library is not there in later runs.",
        "import json\njson.planted = 1",
        "import json\nx = outcome(lambda: hasattr(json, 'planted'))"
    ),
    inside!(
        "deny_leaving_changes_in_preloaded_libraries",
        "A changed library, be it preloaded or not, is not there in later runs.",
        "import numpy\nnumpy.planted = 1",
        "import numpy\nx = outcome(lambda: hasattr(numpy, 'planted'))"
    )
    .needs(&[Module("numpy")]),
    inside!(
        "deny_leaving_variables_of_the_environment",
        "A variable of the environment is not there in later runs.",
        "os.environ['PLANTED'] = '1'",
        "x = outcome(lambda: 'PLANTED' in os.environ)"
    ),
    inside!(
        "deny_leaving_variables_of_the_c_environment",
        "A variable that C code sees is not there in later runs.",
        "ctypes.CDLL(None).setenv(b'PLANTED', b'1', 1)",
        "getenv = ctypes.CDLL(None).getenv\n\
         getenv.restype = ctypes.c_char_p\n\
         x = outcome(lambda: getenv(b'PLANTED') or False)"
    ),
    inside!(
        "deny_seeding_the_next_runs",
        "A seed does not decide a later run's random numbers.",
        "import random\nrandom.seed(7)",
        "import random\nx = outcome(lambda: random.random() == random.Random(7).random())"
    ),
    inside!(
        "deny_seeding_the_next_runs_numpy",
        "A seed does not decide a later run's random numbers of numpy.",
        "import numpy\nnumpy.random.seed(7)",
        "import numpy\nx = outcome(lambda: bool(numpy.random.random() == numpy.random.RandomState(7).random_sample()))"
    )
    .needs(&[Module("numpy")]),
    inside!(
        "deny_seeding_the_next_runs_c_library",
        "A seed does not decide a later run's random numbers of the C library.",
        "ctypes.CDLL(None).srand(7)",
        "libc = ctypes.CDLL(None)\n\
         drawn = libc.rand()\n\
         libc.srand(7)\n\
         x = outcome(lambda: drawn == libc.rand())"
    ),
    inside!(
        "deny_leaving_signal_handlers",
        "A signal's handler is not there in later runs.",
        "import signal\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)",
        "import signal\nx = outcome(lambda: signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN)"
    ),
    inside!(
        "deny_leaving_blocked_signals",
        "A blocked signal is not blocked in later runs.",
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])",
        "import signal\nx = outcome(lambda: list(signal.pthread_sigmask(signal.SIG_BLOCK, [])))"
    ),
    inside!(
        "deny_leaving_alarms",
        "An alarm does not end a later run.",
        "import signal\nsignal.setitimer(signal.ITIMER_REAL, 1000)",
        "import signal\nx = outcome(lambda: signal.getitimer(signal.ITIMER_REAL)[0] > 0)"
    ),
    inside!(
        "deny_leaving_exit_functions",
        "A function to be called at the end is not there in later runs.",
        "import atexit\natexit.register(print)\nkept = atexit._ncallbacks()",
        "import atexit\nx = outcome(lambda: atexit._ncallbacks() >= kept)"
    ),
    inside!(
        "deny_leaving_descriptors",
        "An open descriptor is not there in later runs.",
        "os.dup2(0, 200)",
        "x = outcome(lambda: os.fstat(200), ('EBADF',))"
    ),
    inside!(
        "deny_leaving_limits",
        "A lowered limit does not hold for later runs.",
        "import resource\n\
         resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))",
        "import resource\nx = outcome(lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 100)"
    ),
    inside!(
        "deny_leaving_a_low_priority",
        "A lowered priority does not slow later runs.",
        "x = outcome(lambda: Returned(os.nice(3)))",
        "x = outcome(lambda: os.getpriority(os.PRIO_PROCESS, 0) >= 3)"
    ),
    inside!(
        "deny_leaving_a_umask",
        "A changed umask is not a later run's.",
        "os.umask(0o027)",
        "mask = os.umask(0)\nos.umask(mask)\nx = outcome(lambda: mask == 0o027)"
    ),
    inside!(
        "deny_leaving_paths_of_modules",
        "A path to load modules from is not there in later runs.",
        "sys.path.append('/planted')",
        "x = outcome(lambda: '/planted' in sys.path)"
    ),
    inside!(
        "deny_leaving_import_hooks",
        "A hook that would see what later runs import is not there.",
        "class Planted:\n    \
             @staticmethod\n    \
             def find_spec(name, path=None, target=None): return None\n\
         sys.meta_path.append(Planted)",
        "x = outcome(lambda: [h for h in sys.meta_path if getattr(h, '__name__', '') == 'Planted'])"
    ),
    inside!(
        "deny_leaving_traces",
        "A function that would see what later runs call is not there.",
        "def planted(*args): return None\nsys.setprofile(planted)",
        "x = outcome(lambda: sys.getprofile() is not None)"
    ),
    inside!(
        "deny_leaving_a_recursion_limit",
        "A changed limit of recursion does not hold for later runs.",
        "sys.setrecursionlimit(777)",
        "x = outcome(lambda: sys.getrecursionlimit() == 777)"
    ),
    inside!(
        "deny_leaving_a_precision",
        "A changed precision of decimal numbers does not hold for later runs.",
        "import decimal\ndecimal.getcontext().prec = 3",
        "import decimal\nx = outcome(lambda: decimal.getcontext().prec == 3)"
    ),
    outside!(
        "deny_finding_patterns_of_earlier_runs",
        "What a library remembers of one run's data is not there in later ones.",
        "import re\nre.compile('s3cr3t-pattern')",
        "import re\nx = outcome(lambda: [key for key in list(re._cache) if 's3cr3t-pat' in repr(key)])"
    ),
    outside!(
        "deny_finding_globals_of_earlier_runs",
        "One run's globals can't be found among the objects of a later one.",
        "a_students_answer = 42",
        "import gc\n\
         name = '_'.join(['a', 'students', 'answer'])\n\
         x = outcome(lambda: [1 for found in gc.get_objects() if isinstance(found, dict) and name in found])"
    ),
];
