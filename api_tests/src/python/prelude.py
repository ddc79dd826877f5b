"""This text comes before the code of every deny probe. `decoy`, `limits` and `scale` are input globals
of the run."""

import ctypes
import errno
import os
import resource
import socket
import struct
import sys
import time

# An input global: functions below ask it.
limits = globals()["limits"]
# In a PID namespace numbers are given anew, and this process may have the number of the decoy: it
# would attack itself.
decoy = globals()["decoy"]
if decoy["pid"] == os.getpid():
    decoy["pid"] = decoy["other_pid"]
STARTED = time.monotonic()

# The errors of layers for each kind of attack. A layer that hides the target (a mount, PID or
# network namespace) answers that it does not exist. The harness makes sure that it exists.
CALLS = ("EACCES", "EPERM", "ENOSYS")
FILES = ("EACCES", "EPERM", "ENOENT", "EROFS", "EXDEV", "EFBIG")
PROCESSES = ("EACCES", "EPERM", "ENOSYS", "ESRCH", "ENOENT")
FORKS = ("EACCES", "EPERM", "ENOSYS", "EAGAIN")
NETWORK = ("EACCES", "EPERM", "ENETUNREACH", "EADDRNOTAVAIL", "ECONNREFUSED", "ENOENT")


class Skip(Exception):
    """This probe can show nothing on this host."""


def outcome(attack, denied=CALLS, reached=()):
    """Makes an attack. Returns its outcome in a word, and the evidence.

    `denied` has the names of errors by which layers deny the attack. `reached` has the names of errors by which
    the kernel itself refuses a call that has reached it. After any other exception the probe is broken. An attack
    that returns None has succeeded, since it has not failed. A search that returns an empty result has found nothing.
    """
    try:
        evidence = attack()
    except OSError as error:
        name = errno.errorcode.get(error.errno, str(error))
        if name in reached:
            return "succeeded", "the kernel itself answered " + name
        return "denied" if name in denied else "broken", f"{name} ({error})"
    except Skip as reason:
        return "skipped", str(reason)
    except Exception as error:
        return "broken", f"{type(error).__name__}: {error}"
    if evidence is None:
        return "succeeded", "it was done"
    return ("succeeded", repr(evidence)[:200]) if evidence else ("denied", "nothing was found")


def still(find):
    """Calls `find` again and again, while a run may wait for something that is about to be removed."""
    for _ in range(20):
        found = find()
        time.sleep(0.02)
    return found


def call(name, *arguments):
    """Makes a system call by its number. Numbers go as longs, bytes as their address, None as null."""
    number = SYSTEM_CALLS[name][os.uname().machine == "aarch64"]
    if number is None:
        raise Skip(name + " does not exist on this architecture")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    longs = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(number), *longs)
    if result == -1:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return Returned(result)


class Returned(int):
    """What a system call returned. It is true, because the call has reached the kernel."""

    def __bool__(self):
        return True


def read(path):
    with open(path, "rb") as file:
        return file.read(4096)


def write(path, mode="a"):
    with open(path, mode) as file:
        file.write("x")


def new_name(directory):
    """A name for a file that no other probe uses."""
    return f"{directory}/codejail-probe-{os.getpid()}-{os.urandom(4).hex()}"


def make_and_remove(make, path, remove=os.unlink):
    make(path)
    remove(path)


def other_runs():
    """The `tmp` directories of runs beside this one that hold a secret. Waits for such a run to start."""
    above, own = os.path.split(os.path.dirname(os.path.abspath("jailed_code")))
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        places = [f"{above}/{name}/tmp" for name in os.listdir(above) if name != own]
        found = [place for place in places if os.path.exists(place + "/secret")]
        if found:
            return found
        time.sleep(0.01)
    return []


def descriptors(most):
    """How many descriptors an attack can open if it wants so many."""
    resource.setrlimit(resource.RLIMIT_NOFILE, [resource.getrlimit(resource.RLIMIT_NOFILE)[1]] * 2)
    return int(min(most, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 64))


def affordable(seconds):
    """Processor time that an attack may take so that it can still report."""
    return min(seconds, 0.7 * limits["CPU"]) if limits["CPU"] else seconds


def spent(seconds):
    """Whether so much processor time is used, or so much of the run's time, that it must report now."""
    late = limits["REALTIME"] and time.monotonic() - STARTED > 0.6 * limits["REALTIME"]
    return bool(late) or time.process_time() > affordable(seconds)


def wait(seconds):
    """Sleeps for as long as a run may, and keeps what it holds meanwhile."""
    time.sleep(min(seconds, 0.4 * limits["REALTIME"]) if limits["REALTIME"] else seconds)


def child(pid):
    """After a fork: ends the child, waits for it in the parent."""
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "a process was made"


# The output of a program that should not run. It has the form of globals, so that it counts as the
# run's answer.
SAY = '{"x": ["succeeded", "another program ran"]}'
SHELL = ["sh", "-c", "echo '" + SAY + "'"]


def socket_of(family, kind, protocol=0):
    socket.socket(family, kind, protocol).close()
    return "a socket was made"


# Each call with its number on x86_64 and on aarch64 (-: it does not exist).
SYSTEM_CALL_NUMBERS = """
acct 163 89, add_key 248 217, adjtimex 159 171, bpf 321 280, capset 126 91, chroot 161 51, clock_adjtime 305 266,
clock_settime 227 112, clone 56 220, clone3 435 435, delete_module 176 106, fadvise64 221 223, fallocate 285 47,
fanotify_init 300 262, fchmodat2 452 452, fdatasync 75 83, finit_module 313 273, fork 57 -, fsopen 430 430,
fspick 433 433, fsync 74 82, futex 202 98, futex_wake 454 454, get_robust_list 274 100, init_module 175 105,
inotify_init1 294 26, io_setup 206 0, io_uring_enter 426 426, io_uring_register 427 427, io_uring_setup 425 425,
ioperm 173 -, iopl 172 -, ioprio_set 251 30, kcmp 312 272, kexec_file_load 320 294, kexec_load 246 104,
keyctl 250 219, landlock_create_ruleset 444 444, listmount 458 458, madvise 28 233, mbind 237 235,
membarrier 324 283, memfd_create 319 279, migrate_pages 256 238, mincore 27 232, mlock 149 228,
mmap 9 222, modify_ldt 154 -, mount 165 40, mount_setattr 442 442, move_mount 429 429, move_pages 279 239,
mremap 25 216, mq_open 240 180, mq_unlink 241 181,
msgctl 71 187, msgget 68 186, msync 26 227, name_to_handle_at 303 264, open_by_handle_at 304 265, open_tree 428 428,
openat2 437 437, perf_event_open 298 241, personality 135 92, pidfd_getfd 438 438, pidfd_open 434 434,
pidfd_send_signal 424 424, pivot_root 155 41, pkey_alloc 330 289, prctl 157 167, process_madvise 440 440,
process_mrelease 448 448, process_vm_readv 310 270, process_vm_writev 311 271, ptrace 101 117, quotactl 179 60,
reboot 169 142, remap_file_pages 216 234, request_key 249 218, rt_sigqueueinfo 129 138, rt_tgsigqueueinfo 297 240,
sched_setattr 314 274, seccomp 317 277, semctl 66 191, semget 64 190, sendmmsg 307 269, set_mempolicy 238 237,
setdomainname 171 162, setfsuid 122 151, setgroups 116 159, sethostname 170 161, setns 308 268, setresuid 117 147,
settimeofday 164 170, shmctl 31 195, shmget 29 194, splice 275 76, statmount 457 457, swapon 167 224, sync 162 81,
sync_file_range 277 84, syncfs 306 267, syslog 103 116, tee 276 77, tgkill 234 131, timer_create 222 107,
timer_delete 226 111, timer_settime 223 110, timerfd_create 283 85, tkill 200 130, umount2 166 39, unshare 272 97,
userfaultfd 323 282, vhangup 153 58, vmsplice 278 75
"""
# Both numbers of each call.
SYSTEM_CALLS = {
    name: tuple(None if number == "-" else int(number) for number in numbers)
    for name, *numbers in map(str.split, SYSTEM_CALL_NUMBERS.split(","))
}
