"""The tests of one module on one side, also if some of them end the run."""

import json
import re
from contextlib import contextmanager
from pathlib import Path

from comparison import ask
from original import Original
from running_service import UID_COUNT, running_service
from system_calls import Trace

CODE = (Path(__file__).parent / "inside.py").read_text(encoding="utf-8")

# Wide limits: the tests are about other things. REALTIME is in seconds. A context for fewer tests
# has less, so that a test that hangs costs little.
LIMITS = {"CPU": 60, "REALTIME": 60, "NPROC": 0, "VMEM": 0, "FSIZE": 1 << 30}
CONTEXTS = {"class": {"REALTIME": 30}, "test": {"REALTIME": 15}}

# Modules of the standard library that have a state of their own or import many others: preloaded,
# as in a real service.
PRELOADED = "tempfile uuid secrets statistics email.utils logging decimal sqlite3 ssl multiprocessing asyncio".split()

# Other uids than those of the fidelity suite and of the client's tests, whose services may run at
# the same time.
UID_BASE = 349_720_000

# More than one worker can have ready.
READY_SANDBOXES = 8


class Side:
    """One side. `execute` takes a request and returns globals as JSON text, and emsg. With `marks` it is traced."""

    def __init__(self, execute, modules_at, marks):
        self._execute = execute
        self._modules_at = modules_at
        self._marks = marks

    def outcomes(self, module):
        """For each test: [outcome, message]. If a test ends the run, the tests are run in smaller parts: class by
        class, then one by one.
        """
        listed, end = self._ask(module, None, None)
        if end:
            return {module: ["ended", end]}
        results, tests = listed["results"], listed["tests"]
        for part, context in parts(tests):
            left = [name for name in part if name not in results]
            if not left:
                continue
            ran, end = self._ask(module, left, context)
            if end and len(left) == 1:
                results[left[0]] = ["ended", end]
            elif not end:
                results.update(ran["results"])
                # A test whose class or module could not be set up has no result of its own.
                said = next((text for outcome, text in ran["results"].values() if outcome == "failed"), "")
                results.update({name: ["failed", said] for name in left if name not in results})
        return results

    def one(self, module, test):
        """The outcome of a test that is run alone."""
        ran, end = self._ask(module, [test], "test")
        return ["ended", end] if end else ran["results"].get(test, ["failed", str(ran["results"])])

    def _ask(self, module, wanted, context):
        """The globals of the answer; and how the run ended, unless it ended by itself."""
        mark = module if self._marks else None
        given = {"given": [self._modules_at, module, wanted, mark]}
        request = {"code": CODE, "globals": json.dumps(given), "python_path": False, "context": context}
        text, emsg = self._execute({**request, "library": None})
        return json.loads(text), emsg and end_of(emsg)


def parts(tests):
    """All tests; the tests of each class; each test alone."""
    yield tests, None
    for owner in dict.fromkeys(owner_of(name) for name in tests):
        yield [name for name in tests if owner_of(name) == owner], "class"
    for name in tests:
        yield [name], "test"


def owner_of(test):
    return test.rpartition(".")[0]


def end_of(emsg):
    status = re.search(r"with status code: (-?\d+)$", emsg)
    return f"status {status[1]}" if status and status[1] != "1" else emsg[-300:]


@contextmanager
def original(python, modules_at):
    """The original's side."""
    running = Original(python, LIMITS, CONTEXTS)
    try:
        yield Side(running.execute, modules_at, marks=False)
    finally:
        running.close()


@contextmanager
def service(directory, python, modules_at):
    """Our side, traced; and the trace, which is complete when the service has ended."""
    with running_service(directory, configuration(python), UID_BASE) as (address, _):
        trace = Trace(max(workers_of(python)), directory)
        side = Side(lambda request: ask(address, request), modules_at, marks=True)
        # These sandboxes were ready before the trace began.
        for _ in range(READY_SANDBOXES):
            side.outcomes("test.test_int_literal")
        yield side, trace
        trace.close()


def configuration(python):
    tables = {"limits": LIMITS, **{f'limit_overrides."{name}"': limits for name, limits in CONTEXTS.items()}}
    text = f'bind = "127.0.0.1:0"\nenabled = true\nworkers = 1\nuser = "{UID_BASE - 1}"\nqueue_wait_max_ms = 60000\n'
    text += f'[python]\nbin = "{python}"\npreload = {json.dumps(PRELOADED)}\n[sandbox]\nuid_base = {UID_BASE}\n'
    for name, table in tables.items():
        text += f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in table.items())
    return text


def workers_of(python):
    """The workers with these uids, without their sandboxes, which are their children."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            command = (status.parent / "cmdline").read_bytes().split(b"\0")
            lines = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if command[0] == str(python).encode() and int(lines["Uid"].split()[0]) - UID_BASE in range(UID_COUNT):
            found[int(status.parent.name)] = int(lines["PPid"])
    return [pid for pid, parent in found.items() if parent not in found]
