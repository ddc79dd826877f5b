"""What a library changes in the process at its import is seen by the runs that import it, and by no other."""

import re

from warm_interpreter import PRELOAD, PROLOG, execute, warm

LEAKS = """
import sys, os, gc, signal, locale, warnings, decimal, atexit, logging, threading, subprocess
r = {"environ": sorted(os.environ.items()),
     "path": sys.path[1:],
     "argv": sys.argv,
     "hooks": len(sys.path_hooks),
     "finders": len(sys.meta_path),
     "recursion": sys.getrecursionlimit(),
     "switch": sys.getswitchinterval(),
     "gc": (gc.get_threshold(), gc.isenabled()),
     "cwd": os.getcwd(),
     "umask": os.umask(0),
     "atexit": atexit._ncallbacks(),
     "out": (sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__,
             sys.stdin is sys.__stdin__),
     "excepthook": (sys.excepthook is sys.__excepthook__, sys.displayhook is sys.__displayhook__),
     "unraisable": sys.unraisablehook is sys.__unraisablehook__,
     "threads": threading.excepthook.__module__,
     "signals": [str(signal.getsignal(n)) for n in range(1, 32)],
     "locale": locale.setlocale(locale.LC_ALL),
     "decimal": decimal.getcontext().prec,
     "filters": [str(f) for f in warnings.filters],
     "once": len(warnings.onceregistry),
     "showwarning": warnings.showwarning.__module__,
     "print": print.__module__,
     "import": __import__.__module__,
     "logging": (logging.raiseExceptions, logging.root.level, logging.root.handlers),
     "tempdir": __import__("tempfile").tempdir,
     "timeout": __import__("socket").getdefaulttimeout(),
     "uuid": __import__("uuid")._node,
     "last": [n for n in dir(sys) if n.startswith("last_")],
     "C environment": sorted(subprocess.check_output(["/usr/bin/env"]).split(b"\\n"))}
"""

VANDAL = """
import sys, os, gc, signal, locale, warnings, decimal, atexit, logging, tempfile, threading
import builtins, socket, uuid
import ctypes, builtins
os.environ["LEAK"] = "1"
os.environ["PATH"] += ":/leak"
os.environ.pop("HOME")
ctypes.CDLL(None).setenv(b"C_LEAK", b"1", 1)
sys.path += ["/leak"]
sys.path.insert(0, sys.path.pop(0))
sys.argv.append("leak")
sys.path_hooks.append(print)
sys.meta_path.append(type("F", (), {"find_spec": lambda *a: None})())
sys.setrecursionlimit(5000)
sys.setswitchinterval(1)
gc.set_threshold(1, 2, 3)
gc.disable()
os.umask(7)
sys.stdout = sys.stderr = sys.stdin = open(os.devnull)
sys.excepthook = sys.displayhook = sys.unraisablehook = print
threading.excepthook = print
warnings.showwarning = print
builtins.__import__ = lambda *a, f=__import__, **k: f(*a, **k)
signal.signal(signal.SIGTERM, lambda *a: None)
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
locale.setlocale(locale.LC_ALL, "C")
decimal.getcontext().prec = 3
warnings.simplefilter("error")
os.chdir("/")
atexit.register(print)
logging.raiseExceptions = False
logging.basicConfig(level=10)
tempfile.gettempdir()
warnings.onceregistry.update(x=1)
socket.setdefaulttimeout(3)
uuid.getnode()
builtins.print = lambda *a: None
"""


def test_nothing_that_a_preloaded_library_changes_is_seen_by_a_run_that_does_not_import_it(
    tmp_path,
):
    (tmp_path / "lib.py").write_text(VANDAL)
    fresh, _ = execute(tmp_path, [LEAKS])
    assert fresh[0].startswith("{")
    assert warm(tmp_path, [LEAKS], ["lib"]) == fresh


def test_nothing_that_the_usual_libraries_change_is_seen_by_a_run_that_does_not_import_them(
    tmp_path,
):
    fresh, _ = execute(tmp_path, [LEAKS])
    assert warm(tmp_path, [LEAKS], PRELOAD) == fresh


def test_what_a_library_changes_is_seen_by_a_run_that_imports_it(tmp_path):
    """Two changes are exceptions: `once` and the C environment, in the table of late_random.py."""
    (tmp_path / "lib.py").write_text(
        VANDAL.replace("sys.stdin = open(os.devnull)", "sys.stdin = open(os.devnull, 'r+')")
    )
    run = "import lib\n" + LEAKS
    fresh, _ = execute(tmp_path, [run])
    warmed = warm(tmp_path, [run], ["lib"])
    keys = re.findall(r"'(\w[\w ]*)': ", fresh[0])
    differing = {key for key in keys if field(fresh[0], key) != field(warmed[0], key)}
    assert differing == {"once", "C environment"}, (fresh, warmed)


def field(answer, key):
    return re.sub(r"0x[0-9a-f]+", "0x", answer.partition(f"'{key}': ")[2].split(", '")[0])


def test_a_library_that_seeds_random_at_import_does_so_in_the_run_that_imports_it(tmp_path):
    (tmp_path / "lib.py").write_text("import random; random.seed(3)")
    runs = ["import lib, random; r = random.random()", PROLOG + "import lib; r = random.random()"]
    assert warm(tmp_path, runs, ["random2", "lib"]) == execute(tmp_path, runs)[0]
    plain = "import random; r = random.random()"
    assert len(set(warm(tmp_path, [plain] * 3, ["random2", "lib"]))) == 3


def test_a_library_that_adds_a_finder_has_it_in_the_runs_that_import_it(tmp_path):
    finder = "class Finder:\n  find_spec = staticmethod(lambda *a: None)\n"
    (tmp_path / "lib.py").write_text(f"import sys\n{finder}sys.meta_path.insert(0, Finder)")
    runs = [
        "import sys; r = len(sys.meta_path)",
        "import sys, lib; r = len(sys.meta_path), sys.meta_path[0] is lib.Finder",
    ]
    assert warm(tmp_path, runs, ["lib"]) == execute(tmp_path, runs)[0]
