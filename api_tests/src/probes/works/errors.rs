//! How a denial is shown.

use crate::probe::Probe;

/// The part.
pub const PROBES: &[Probe] = &[
    Probe::fails(
        "support_errors_of_denied_files",
        "Python shows a denied file as the original does.",
        "PermissionError: [Errno 13] Permission denied: \\'/etc/passwd\\'",
        "open('/etc/passwd')",
    ),
    Probe::fails(
        "support_errors_of_denied_files_of_processes",
        "And a file of another process.",
        "PermissionError: [Errno 13] Permission denied: \\'/proc/1/cmdline\\'",
        "open('/proc/1/cmdline')",
    ),
    Probe::fails(
        "support_errors_of_denied_processes",
        "And a denied process.",
        "BlockingIOError: [Errno 11] Resource temporarily unavailable",
        "import os\nos.fork()",
    ),
    Probe::fails(
        "support_errors_of_denied_sockets",
        "And a denied socket.",
        "PermissionError: [Errno 13] Permission denied",
        "import socket\nsocket.socket()",
    ),
    Probe::fails(
        "support_errors_of_names_that_are_not_looked_up",
        "And a name that is not looked up.",
        "gaierror: [Errno -2]",
        "import socket\nsocket.gethostbyname('example.org')",
    ),
    Probe::fails(
        "support_errors_of_requests",
        "And a web page that is not fetched.",
        "<urlopen error [Errno -3] Temporary failure in name resolution>",
        "import urllib.request\nurllib.request.urlopen('http://example.org')",
    ),
];
