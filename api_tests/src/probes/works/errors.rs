//! The errors of denials, exactly as the original's own API tests demand them.

use crate::probe::Need::Limit;
use crate::probe::{Asked, Expected, Probe};

/// Code that fails, the test of the original that runs such code, and the error that the test
/// demands.
macro_rules! errors {
    ($($original:literal, $name:literal, $shows:literal, $error:expr, $code:literal;)*) => {
        &[$(Probe::fails($name, $shows, $error, $code).original($original)),*]
    };
}

const DENIED: &str = "PermissionError: [Errno 13] Permission denied";
/// The original demands this error or `DENIED`: its limit on processes decides. Here it is this
/// error in every sandbox, whichever layers it has.
const NO_PROCESS: &str = "BlockingIOError: [Errno 11] Resource temporarily unavailable";

/// Files and directories.
pub const FILES: &[Probe] = errors![
    "deny_read_os_files", "support_errors_of_denied_files", "Python shows a denied file as the original does.",
    "PermissionError: [Errno 13] Permission denied: \\'/etc/passwd\\'",
    "with open('/etc/passwd') as file: file.read()";
    "deny_read_os_files", "support_errors_of_denied_files_of_processes", "Python shows a denied file of another process as the original does.",
    "PermissionError: [Errno 13] Permission denied: \\'/proc/1/cmdline\\'",
    "with open('/proc/1/cmdline') as file: file.read()";
    "deny_list_os_dirs", "support_errors_of_listing_sys", "Python shows the denied listing of the kernel's objects as the original does.",
    "PermissionError: [Errno 13] Permission denied: \\'/sys\\'",
    "import os\nx = os.listdir('/sys')";
    "deny_list_os_dirs", "support_errors_of_listing_the_root_directory", "Python shows the denied listing of the root directory as the original does.",
    "PermissionError: [Errno 13] Permission denied: \\'/\\'",
    "import os\nx = os.listdir('/')";
    "deny_list_os_dirs", "support_errors_of_listing_temporary_files", "Python shows the denied listing of other users' temporary files as the original does.",
    "PermissionError: [Errno 13] Permission denied: \\'/tmp\\'",
    "import os\nx = os.listdir('/tmp')";
    "deny_list_os_dirs", "support_errors_of_listing_the_directory_above", "Python shows the denied listing of the directory above as the original does.",
    "PermissionError: [Errno 13] Permission denied: \\'../\\'",
    "import os\nx = os.listdir('../')";
    "deny_write_outside_sandbox", "support_errors_of_writing_to_temporary_files", "Python shows a denied new file among temporary files as the original does.",
    "PermissionError: [Errno 13] Permission denied: \\'/tmp/codejail-api-test.txt\\'",
    "with open('/tmp/codejail-api-test.txt', 'w') as file: file.write('x')\nimport os\nos.remove(file.name)";
    "deny_write_outside_sandbox", "support_errors_of_writing_to_the_directory_above", "Python shows a denied new file in the directory above as the original does.",
    "PermissionError: [Errno 13] Permission denied: \\'../codejail-api-test.txt\\'",
    "with open('../codejail-api-test.txt', 'w') as file: file.write('x')\nimport os\nos.remove(file.name)";
    "deny_elsewhere", "support_errors_of_unix_sockets_bound_elsewhere", "Python shows a unix socket that may not be bound outside as the original does.",
    DENIED,
    "import os, socket\nsocket.socket(socket.AF_UNIX, socket.SOCK_RAW).bind('/tmp/codejail-api-test')\n\
     os.remove('/tmp/codejail-api-test')";
];

/// Processes and programs.
pub const PROCESSES: &[Probe] = errors![
    "deny_fork_excessively", "support_errors_of_denied_processes", "Python shows a denied process as the original does.",
    NO_PROCESS,
    "import os, time\n\
     for _ in range(999):\n    \
         if os.fork() == 0:\n        \
             time.sleep(0.5)\n        \
             os._exit(0)";
    "deny_subprocess", "support_errors_of_programs", "Python shows a denied program as the original does.",
    NO_PROCESS,
    "import subprocess\nsubprocess.run('/usr/bin/true')";
    "deny_subprocess", "support_errors_of_programs_that_list", "Python shows a denied program that would list files as the original does.",
    NO_PROCESS,
    "import subprocess\nsubprocess.run('/usr/bin/ls')";
    "deny_subprocess", "support_errors_of_running_its_own_python", "Python shows that its own program is denied as the original does.",
    NO_PROCESS,
    "import subprocess, sys\nsubprocess.run(sys.executable)";
    "deny_subprocess", "support_errors_of_programs_that_are_not_there", "Python shows a program that does not exist as the original does.",
    NO_PROCESS,
    "import subprocess\nsubprocess.run('python3.8')";
    "deny_exec_ps", "support_errors_of_the_list_of_processes", "Python shows the denied program that lists processes as the original does.",
    NO_PROCESS,
    "import subprocess\nsubprocess.run('ps')";
    "deny_list_proc", "support_errors_of_listing_processes", "Python shows the denied listing of processes as the original does.",
    "PermissionError: [Errno 13] Permission denied: \\'/proc\\'",
    "import os\nx = os.listdir('/proc')";
];

/// Sockets and names.
pub const NETWORK: &[Probe] = errors![
    "deny_create_socket", "support_errors_of_denied_sockets", "Python shows a denied socket as the original does.", DENIED,
    "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_STREAM)";
    "deny_create_socket", "support_errors_of_denied_udp_sockets", "Python shows a denied socket for datagrams as the original does.", DENIED,
    "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM)";
    "deny_create_socket", "support_errors_of_denied_sockets_of_ipv6", "Python shows a denied socket of IPv6 as the original does.", DENIED,
    "import socket\nsocket.socket(socket.AF_INET6, socket.SOCK_STREAM)";
    "deny_create_socket", "support_errors_of_denied_udp_sockets_of_ipv6", "Python shows a denied socket of IPv6 for datagrams as the original does.", DENIED,
    "import socket\nsocket.socket(socket.AF_INET6, socket.SOCK_DGRAM)";
    "deny_create_socket", "support_errors_of_denied_netlink_sockets", "Python shows a denied socket that asks the kernel as the original does.", DENIED,
    "import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW)";
    "deny_resolve_dns", "support_errors_of_names_that_are_not_looked_up", "Python shows a name that is not looked up as the original does.",
    "nsocket.gaierror: [Errno -2] Name or service not known",
    "import socket\nx = socket.gethostbyname('example.com')";
    "deny_make_http_call", "support_errors_of_requests", "Python shows a web page that is not fetched as the original does.",
    "urllib.error.URLError: <urlopen error [Errno -3] Temporary failure in name resolution>",
    "import urllib.request\nurllib.request.urlopen('http://www.example.org/')";
];

/// The end of a run at REALTIME. The globals are as they were given.
const KILLED: Expected = Expected::Answer {
    globals: "{\"given\":1}",
    emsg: Some("Couldn't execute jailed code: stdout: b'', stderr: b'' with status code: -9"),
};

/// Limits, and how a run ends.
pub const BOUNDS: &[Probe] = &[
    Probe::fails(
        "support_errors_of_files_past_the_limit",
        "Python shows a file that would be longer than FSIZE as the original does.",
        "OSError: [Errno 27] File too large",
        "with open('tmp/api-test.txt', 'w') as file:\n    \
             file.seek(1 << 30)\n    \
             file.write('x')",
    )
    .original("deny_write_large_file"),
    Probe::fails(
        "support_errors_of_memory_past_the_limit",
        "Python shows memory past VMEM, taken piece by piece, as the original does.",
        "MemoryError",
        "x = len([bytearray(32768) for _ in range(32768)])",
    )
    .needs(&[Limit("VMEM")])
    .original("deny_large_allocate"),
    Probe::answers(
        "support_the_answer_at_the_end_of_its_time",
        "A run that sleeps past REALTIME is killed, and the answer says nothing else.",
        KILLED,
        Asked::with_globals("{\"given\":1}", "given = 2\nimport time\ntime.sleep(30)"),
    )
    .needs(&[Limit("REALTIME")])
    .original("deny_long_running_code"),
    Probe::answers(
        "support_the_answer_at_the_end_of_its_time_with_handlers",
        "A run is not asked to end before it is killed, since it could ignore that.",
        KILLED,
        Asked::with_globals(
            "{\"given\":1}",
            "import signal, time\n\
             for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, lambda *_: print('told'))\n\
             time.sleep(30)",
        ),
    )
    .needs(&[Limit("REALTIME")])
    .original("deny_prevent_kill"),
    Probe::answers(
        "support_the_answer_of_an_exception",
        "An exception comes with its traceback and standard error, and with the globals as they were given.",
        Expected::Answer {
            globals: "{\"number\":7,\"list\":[]}",
            emsg: Some(
                "Couldn't execute jailed code: stdout: b'', stderr: b'told\\nTraceback (most recent call last):\\n  \
                 File \"jailed_code\", line NN, in <module>\\n    exec(code, g_dict)\\n  \
                 File \"<string>\", line NN, in <module>\\n\
                 ZeroDivisionError: division by zero\\n' with status code: 1",
            ),
        },
        Asked::with_globals(
            "{\"number\":7,\"list\":[]}",
            "import sys\n\
             number = 22\n\
             list.append(123)\n\
             print('not shown')\n\
             print('told', file=sys.stderr)\n\
             1 / 0",
        ),
    )
    .original("support_exception_traceback_stderr"),
];

/// Requests that are not executed.
pub const REQUESTS: &[Probe] = &[
    Probe::answers(
        "support_refusals_of_paths",
        "A request with another path for Python than the course's library is refused.",
        Expected::Refused(
            400,
            "Only allowed entry in 'python_path' is 'python_lib.zip'",
        ),
        Asked {
            python_path: "[\"/etc\"]",
            ..Asked::with_globals("{}", "x = 1 + 1")
        },
    )
    .original("deny_python_path_arbitrary_read"),
    Probe::answers(
        "support_refusals_of_file_names",
        "A request with a file of another name, which would be written somewhere else, is refused.",
        Expected::Refused(
            400,
            "Only allowed name for uploaded file is 'python_lib.zip'",
        ),
        Asked {
            file: Some("/tmp/codejail-api-test.txt"),
            ..Asked::with_globals("{}", "x = 1 + 1")
        },
    )
    .original("deny_uploaded_filename_arbitrary_write"),
];
