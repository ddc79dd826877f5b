"""Which system calls of a test were denied, seen from outside: strace follows the worker and so its sandboxes."""

import re
import subprocess
import time

# None of these is denied, and most calls of a test are among them.
LEFT_OUT = (
    "read,write,mmap,munmap,mprotect,madvise,brk,futex,lseek,rt_sigaction,rt_sigprocmask,close,fstat,getdents64,"
    "epoll_wait,poll,select,pselect6,ppoll,getpid,gettid,getuid,geteuid,clock_nanosleep,sched_yield,getcwd"
)
ATTACHED_SECONDS_MAX = 30
BEGUN = re.compile(r'^"/begin-([^"]+)"')
LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+|\?)(?: (E[A-Z]+))?")


class Trace:
    """The calls of a worker's sandboxes from now on. Each test begins with a mark."""

    def __init__(self, worker, directory):
        self._path = directory / "trace"
        log = directory / "strace.log"
        with log.open("w") as output:
            command = ["strace", "-f", "-y", "-s", "200", "-e", f"trace=!{LEFT_OUT}", "-e", "signal=none"]
            self._process = subprocess.Popen([*command, "-o", self._path, "-p", str(worker)], stderr=output)
        deadline = time.monotonic() + ATTACHED_SECONDS_MAX
        while "attached" not in log.read_text():
            assert self._process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)

    def close(self):
        self._process.terminate()
        self._process.wait()

    def calls(self, tells):
        """For each mark: (call, arguments, errno or None) of the test's processes, if `tells` is true of the call. Only
        after `close`.
        """
        with self._path.open(errors="replace") as text:
            lines = [match.groups() for match in map(LINE.match, joined(text)) if match]
        # A sandbox that is made meanwhile does not belong to the test.
        others = {pid for pid, call, *_ in lines if call == "landlock_restrict_self"}
        worker, main, name, found = lines[0][0], None, None, {}
        for pid, call, arguments, _, errno in lines:
            if begun := BEGUN.search(arguments):
                main, name = pid, begun[1]
                found.setdefault(name, [])
            elif name and (pid == main or (pid not in others and pid != worker)) and tells(call, arguments, errno):
                found[name].append((call, arguments, errno))
        return found


def joined(text):
    """The lines, with those joined that a line of another thread has interrupted."""
    begun = {}
    for line in text:
        line = line.rstrip("\n")
        pid = line.split(" ", 1)[0]
        if line.endswith("<unfinished ...>"):
            begun[pid] = line[: -len("<unfinished ...>")]
        elif resumed := re.match(r"\d+ +<\.\.\. \w+ resumed>(.*)", line):
            yield begun.pop(pid, pid + " ") + resumed[1]
        else:
            yield line
