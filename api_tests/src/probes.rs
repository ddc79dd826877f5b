//! The probes. Each is one execution; none depends on another.

use crate::probe::Expected::{Error, X};
use crate::probe::Probe;

const DENIED: &str = "PermissionError: [Errno 13] Permission denied";
const TOO_MANY: &str = "BlockingIOError: [Errno 11] Resource temporarily unavailable";

/// All of them, by group.
pub const PROBES: &[Probe] = &[
    Probe {
        name: "deny_listing_the_root_directory",
        code: "import os\nx = os.listdir('/')",
        expected: Error(DENIED),
    },
    Probe {
        name: "deny_reading_the_user_database",
        code: "x = open('/etc/passwd').read()",
        expected: Error(DENIED),
    },
    Probe {
        name: "deny_reading_processes",
        code: "x = open('/proc/self/environ').read()",
        expected: Error(DENIED),
    },
    Probe {
        name: "deny_listing_other_runs_directories",
        code: "import os\nx = os.listdir('/tmp')",
        expected: Error(DENIED),
    },
    Probe {
        name: "deny_changing_the_runner",
        code: "open('jailed_code', 'a')",
        expected: Error(DENIED),
    },
    Probe {
        name: "deny_emptying_the_runner_while_reading",
        code: "import os\nos.open('jailed_code', os.O_RDONLY | os.O_TRUNC)",
        expected: Error(DENIED),
    },
    Probe {
        name: "deny_files_beside_tmp",
        code: "open('beside', 'w')",
        expected: Error(DENIED),
    },
    Probe {
        name: "deny_fork",
        code: "import os\nx = os.fork()",
        expected: Error(TOO_MANY),
    },
    Probe {
        name: "deny_exec",
        code: "import os, sys\nos.execv(sys.executable, [sys.executable, '-c', ''])",
        expected: Error(DENIED),
    },
    Probe {
        name: "deny_internet_sockets",
        code: "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_STREAM)",
        expected: Error(DENIED),
    },
    Probe {
        name: "deny_unix_connect",
        code: "import socket\n\
               s = socket.socket(socket.AF_UNIX)\n\
               s.connect('/run/nothing')",
        expected: Error(DENIED),
    },
    Probe {
        name: "deny_signals_to_the_parent",
        code: "import os\nos.kill(os.getppid() or 1, 0)",
        expected: Error(DENIED),
    },
    Probe {
        name: "allow_threads",
        code: "import threading\n\
               x = []\n\
               threads = [threading.Thread(target=x.append, args=(1,)) for _ in range(4)]\n\
               [thread.start() for thread in threads]\n\
               [thread.join() for thread in threads]\n\
               x = len(x)\n\
               del threads",
        expected: X("4"),
    },
    Probe {
        name: "allow_files_below_tmp",
        code: "import os\n\
               os.mkdir('tmp/a')\n\
               open('tmp/a/b', 'w').close()\n\
               x = os.listdir('tmp/a')",
        expected: X("[\"b\"]"),
    },
    Probe {
        name: "allow_unix_sockets_bound_below_tmp",
        code: "import socket\n\
               s = socket.socket(socket.AF_UNIX)\n\
               s.bind('tmp/socket')\n\
               x = s.getsockname()",
        expected: X("\"tmp/socket\""),
    },
    Probe {
        name: "support_arithmetic",
        code: "x = 1 + 1",
        expected: X("2"),
    },
    Probe {
        name: "support_exceptions_with_the_original_s_traceback",
        code: "1 / 0",
        expected: Error(
            // From 3.13 on the line above has marks below it.
            "\\n  File \"<string>\", line 1, in <module>\\n\
             ZeroDivisionError: division by zero\\n' with status code: 1",
        ),
    },
    Probe {
        name: "support_standard_input_at_its_end",
        code: "import sys\nx = sys.stdin.read()",
        expected: X("\"\""),
    },
];
