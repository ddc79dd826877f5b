//! Signals to other processes, by every call.

use crate::probe::Need::Decoy;
use crate::probe::Probe;

/// Why it is enough that one layer guards signals and priorities: the kernel grants them by
/// ownership.
const OWNED: &str = "the kernel's own rule lets it reach only processes of the same user, and no other \
                     process is in the user, session and PID namespace of a run";

/// Why it is enough that one layer guards what concerns the run itself.
const ITSELF: &str = "it concerns only the run's own process";

/// A signal to another process, for which there must be a decoy.
const fn to_another(name: &'static str, shows: &'static str, code: &'static str) -> Probe {
    Probe::harm(name, shows, code).needs(&[Decoy("writable")])
}

/// The probes of this file.
pub const PROBES: &[Probe] = &[
    to_another(
        "deny_signals_to_another_process",
        "A process of the same user can't be signalled.",
        "x = outcome(lambda: os.kill(decoy['pid'], 18), PROCESSES)",
    ),
    Probe::surface(
        "deny_signals_to_the_first_process",
        "The first process can't be signalled.",
        OWNED,
        "x = outcome(lambda: os.kill(1, 0), ('EACCES', 'ESRCH'), ('EPERM',))",
    ),
    Probe::harm(
        "deny_signals_to_the_parent",
        "The process that made the run's can't be signalled.",
        "x = outcome(lambda: os.kill(os.getppid() or 1, 0), PROCESSES)",
    ),
    Probe::surface(
        "deny_signals_to_everybody",
        "Not all processes can be signalled at once.",
        OWNED,
        "x = outcome(lambda: os.kill(-1, 0), PROCESSES)",
    ),
    Probe::surface(
        "deny_signals_to_the_group",
        "The process group can't be signalled.",
        OWNED,
        "x = outcome(lambda: os.kill(0, 0), PROCESSES)",
    ),
    to_another(
        "deny_signals_to_a_thread_of_another_process",
        "One thread of another process can't be signalled.",
        "x = outcome(lambda: call('tgkill', decoy['pid'], decoy['pid'], 0), PROCESSES)",
    ),
    to_another(
        "deny_signals_to_any_thread",
        "One thread of another process can't be signalled by the old system call for threads.",
        "x = outcome(lambda: call('tkill', decoy['pid'], 0), PROCESSES)",
    ),
    to_another(
        "deny_queued_signals",
        "Another process can't be signalled with a value beside the signal.",
        "SI_QUEUE = -1\n\
         information = struct.pack('iii', 18, 0, SI_QUEUE).ljust(128, b'\\0')\n\
         x = outcome(lambda: call('rt_sigqueueinfo', decoy['pid'], 18, information), PROCESSES)",
    ),
    to_another(
        "deny_queued_signals_to_a_thread",
        "One thread of another process can't be signalled with a value beside the signal.",
        "SI_QUEUE = -1\n\
         information = struct.pack('iii', 18, 0, SI_QUEUE).ljust(128, b'\\0')\n\
         x = outcome(lambda: call('rt_tgsigqueueinfo', decoy['pid'], decoy['pid'], 18, information), PROCESSES)",
    ),
    to_another(
        "deny_signals_by_descriptor",
        "Another process can't be signalled through a descriptor of it.",
        "x = outcome(lambda: call('pidfd_send_signal', call('pidfd_open', decoy['pid'], 0), 18, None, 0), PROCESSES)",
    ),
    to_another(
        "deny_signals_by_input_and_output",
        "The kernel can't be told to signal another process when a pipe has something to read.",
        "import fcntl\n\
         x = outcome(lambda: fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, decoy['pid']) == 0, PROCESSES)",
    ),
    to_another(
        "deny_signals_by_a_sockets_owner",
        "The kernel can't be told to signal another process when a socket has something to read.",
        "import fcntl\n\
         SIOCSPGRP = 0x8902\n\
         a, b = socket.socketpair()\n\
         x = outcome(lambda: fcntl.ioctl(a, SIOCSPGRP, struct.pack('i', decoy['pid'])) and 'set', PROCESSES)",
    ),
    to_another(
        "deny_signals_by_a_sockets_owner_under_its_other_number",
        "The kernel can't be told by the same request's other number to signal another process when a socket has something to read.",
        "import fcntl\n\
         FIOSETOWN = 0x8901\n\
         a, b = socket.socketpair()\n\
         x = outcome(lambda: fcntl.ioctl(a, FIOSETOWN, struct.pack('i', decoy['pid'])) and 'set', PROCESSES)",
    ),
    to_another(
        "deny_signals_to_a_thread_by_input_and_output",
        "The kernel can't be told to signal one thread of another process when a pipe has something to read.",
        "import fcntl\n\
         F_SETOWN_EX, THREAD = 15, 0\n\
         owner = struct.pack('ii', THREAD, decoy['pid'])\n\
         x = outcome(lambda: fcntl.fcntl(os.pipe()[0], F_SETOWN_EX, owner) and 'set', PROCESSES)",
    ),
    Probe::surface(
        "deny_choosing_the_signal_of_a_pipe",
        "The signal that the kernel sends when a pipe has something to read can't be chosen.",
        ITSELF,
        "import fcntl\nF_SETSIG = 10\n\
         x = outcome(lambda: fcntl.fcntl(os.pipe()[0], F_SETSIG, 18) == 0)",
    ),
];
