"""Imports the libraries that the operator named, and reports which imports failed and why."""

import _thread
import os
import sys
from time import monotonic, sleep

# Users of the library on the left soon need the module on the right, which takes long to load: the
# font manager reads every font of the system.
_ALSO = {"matplotlib": ("matplotlib.font_manager",)}

# The text of a failure goes to the log, in a report of bounded length.
_MESSAGE_LENGTH_MAX = 500

# A thread that stays makes forking unsafe. A thread that is about to end may do so within this
# time: on a busy machine it may wait long for a core (matplotlib cancels its timer, and does not
# join it). Each name that fails takes this time, and a worker has two minutes to become ready.
_THREAD_GRACE_S = 3


def import_one(name):
    """Imports `name`. Returns [], or [(name, the error)]. Even a SystemExit only makes this library fail."""
    try:
        __import__(name)
    except BaseException as error:
        return [_failure(name, error)]
    return []


def _failure(name, error):
    """The text with lone surrogates as escapes: they could not be reported."""
    try:
        message = str(error)
    except BaseException:
        message = "?"
    text = f"{type(error).__name__}: {message[:_MESSAGE_LENGTH_MAX]}"[:_MESSAGE_LENGTH_MAX]
    return str(name), text.encode("utf-8", "backslashreplace").decode()


def preload(names):
    """Imports each name; returns (name, "ErrorType: message") of those that failed.

    matplotlib writes what it finds out about fonts to its configuration directory. It gets one that
    is removed at the end.
    """
    from shutil import rmtree

    parent = os.environ.get("TMPDIR", "/tmp")
    directory = os.path.join(parent, "codejail-warm-up-" + os.urandom(8).hex())
    failures = []
    try:
        os.mkdir(directory, 0o700)
        os.environ["MPLCONFIGDIR"] = directory
    except OSError as error:
        failures.append(_failure("MPLCONFIGDIR", error))
    for name in names:
        failures += _import_and_count_threads(name, _threads())
        for also in _ALSO.get(name, ()) if not failures or failures[-1][0] != name else ():
            failures += _import_and_count_threads(also, _threads())
    rmtree(directory, ignore_errors=True)
    return failures


def _import_and_count_threads(name, before):
    failures = import_one(name)
    deadline = monotonic() + _THREAD_GRACE_S
    while _threads() > before and monotonic() < deadline:
        sleep(0.01)
    if _threads() > before:
        threading = sys.modules.get("threading")
        known = [t.name for t in threading.enumerate()[1:]] if threading else []
        error = RuntimeError(f"left {_threads() - before} thread(s) running {known}")
        failures.append(_failure(name, error))
    return failures


def _threads():
    """How many threads run. If there is a /proc, threads of C libraries count too."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1 + _thread._count()
