//! Making a process, and running a program.

use crate::probe::Probe;

/// Why it is enough that one layer denies children.
const A_CHILD: &str = "a child has its parent's user, layers and limits, and the worker ends every child that \
                       outlives the run";

/// The probes of this file.
pub const PROBES: &[Probe] = &[
    Probe::surface(
        "deny_fork",
        "The process can't be forked.",
        A_CHILD,
        "x = outcome(lambda: child(os.fork()), FORKS)",
    ),
    Probe::harm(
        "deny_fork_with_a_terminal",
        "The process can't be forked with a terminal of the child's own.",
        "x = outcome(lambda: child(os.forkpty()[0]), (*FORKS, 'ENOENT'))",
    ),
    Probe::surface(
        "deny_fork_by_number",
        "The process can't be forked by the old system call, past the C library.",
        A_CHILD,
        "x = outcome(lambda: child(call('fork')), FORKS)",
    ),
    Probe::surface(
        "deny_clone",
        "The process can't be forked by the system call that threads are made with.",
        A_CHILD,
        "import signal\n\
         x = outcome(lambda: child(call('clone', int(signal.SIGCHLD), 0, 0, 0, 0)), FORKS)",
    ),
    Probe::surface(
        "deny_clone3",
        "The process can't be forked by `clone3`, whose arguments a filter can't see.",
        A_CHILD,
        "import signal\n\
         arguments = struct.pack('11Q', 0, 0, 0, 0, int(signal.SIGCHLD), 0, 0, 0, 0, 0, 0)\n\
         x = outcome(lambda: child(call('clone3', arguments, len(arguments))), FORKS)",
    ),
    Probe::harm(
        "deny_spawning_a_program",
        "No program can be spawned.",
        "x = outcome(lambda: os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0), (*FORKS, 'ENOENT'))",
    ),
    Probe::harm(
        "deny_subprocess",
        "No program can be run by Python's usual module.",
        "import subprocess\n\
         x = outcome(lambda: subprocess.run(['/bin/true']).returncode == 0, (*FORKS, 'ENOENT'))",
    ),
    Probe::harm(
        "deny_a_shell",
        "No command can be given to a shell.",
        "def ask():\n    \
             status = os.system('exit 42')\n    \
             if status == -1 or os.WEXITSTATUS(status) == 127: raise PermissionError(errno.EACCES, 'system')\n    \
             return os.WEXITSTATUS(status) == 42\n\
         x = outcome(ask, FORKS)",
    ),
    Probe::surface(
        "deny_multiprocessing",
        "Python's own processes can't be made.",
        A_CHILD,
        "import multiprocessing\n\
         def make():\n    \
             process = multiprocessing.get_context('fork').Process(target=os._exit, args=(0,))\n    \
             process.start()\n    \
             process.join()\n\
         x = outcome(make, FORKS)",
    ),
    Probe::harm(
        "deny_exec_of_a_shell",
        "The process can't become a shell.",
        "x = outcome(lambda: os.execv('/bin/sh', SHELL), FILES)",
    ),
    Probe::harm(
        "deny_exec_of_python",
        "The process can't become a fresh Python.",
        "python = [sys.executable, '-c', f'print({SAY!r})']\n\
         x = outcome(lambda: os.execv(sys.executable, python), FILES)",
    ),
    Probe::harm(
        "deny_exec_through_a_link",
        "The process can't become a program by way of a link that the run made.",
        "os.symlink('/bin/sh', 'tmp/sh')\n\
         x = outcome(lambda: os.execv('tmp/sh', SHELL), FILES)",
    ),
    Probe::harm(
        "deny_exec_of_a_descriptor",
        "The process can't become a program that was opened before.",
        "x = outcome(lambda: os.execve(os.open('/bin/sh', os.O_PATH), SHELL, {}), FILES)",
    ),
    Probe::harm(
        "deny_exec_from_memory",
        "The process can't become a program that was written to memory.",
        "def run():\n    \
             file = os.memfd_create('program', 0)\n    \
             os.write(file, b'#!/bin/sh\\n' + SHELL[2].encode())\n    \
             os.execve(file, SHELL, {})\n\
         x = outcome(run, FILES)",
    ),
    Probe::harm(
        "deny_exec_through_the_loader",
        "The process can't become a program that the dynamic loader is asked to load.",
        "loaders = ['/lib64/ld-linux-x86-64.so.2', '/lib/ld-linux-aarch64.so.1']\n\
         def run():\n    \
             loader = loaders[os.uname().machine == 'aarch64']\n    \
             os.execv(loader, [loader, '/bin/sh', *SHELL[1:]])\n\
         x = outcome(run, FILES)",
    ),
];
