"""Runs code in forked children of a warm interpreter, or of a fresh one (runs_in_children.py).

The interpreter is the sandbox's: CODEJAIL_SANDBOX_PYTHON, by default that of /sandbox/venv. The
package `warm_up`, loaded by the worker's own importer, warms it up.
"""

import os
import shutil
import subprocess
import textwrap
from pathlib import Path

PYTHON = os.environ.get("CODEJAIL_SANDBOX_PYTHON", "/sandbox/venv/bin/python")
SOURCES = Path(__file__).parents[2] / "worker/src/python"
PRELOAD = (
    "numpy scipy scipy.stats scipy.optimize sympy matplotlib matplotlib.pyplot networkx nltk "
    "random2"
    " networkx.algorithms.community.lukes nltk.lm.api tempfile uuid secrets statistics email.utils multiprocessing"
).split()

PROLOG = """
from __future__ import absolute_import, division
import os
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["TMPDIR"] = os.getcwd() + "/tmp"
os.environ["MPLCONFIGDIR"] = os.environ["TMPDIR"]
import random2 as random_module
import sys
from six.moves import xrange
random = random_module.Random(42)
random.Random = random_module.Random
random.SystemRandom = random_module.SystemRandom
sys.modules['random'] = random
"""
# The same names, but nothing is replaced.
NO_PROLOG = """
import os, sys
os.environ["MPLCONFIGDIR"] = os.getcwd() + "/tmp"
import random as random_module
import random
random.seed(42)
"""


def cases_of(text):
    """The cases of a text by name. A case is a line `== name` and its code, which leaves its result in `r`."""
    return dict(case.split("\n", 1) for case in ("\n" + text.strip()).split("\n== ")[1:])


def modules():
    """The texts of the package `warm_up`, by module."""
    texts = {}
    for path in (SOURCES / "warm_up").glob("*.py"):
        name = "warm_up" if path.stem == "__init__" else f"warm_up.{path.stem}"
        texts[name] = path.read_text(encoding="utf-8")
    return texts


def scratch(path):
    (path / "tmp").mkdir(exist_ok=True)
    shutil.copyfile(Path(__file__).parent / "runs_in_children.py", path / "jailed_code")
    return path


def execute(path, runs, preload=None, environ=()):
    """Runs in children of a fresh interpreter or, with a list to preload, of a warm one. Returns the
    answers, and the names of the list that failed.
    """
    importer = (SOURCES / "importer.py").read_text(encoding="utf-8")
    order = {
        "warm": preload is not None,
        "preload": preload,
        "runs": runs,
        "importer": importer,
        "modules": modules(),
    }
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(path),
        "TMPDIR": "tmp",
        "OPENBLAS_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [PYTHON, "-E", "-B", "jailed_code"],
        cwd=scratch(path),
        input=repr(order).encode(),
        env={**env, **dict(environ)},
        capture_output=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    report = eval(done.stdout)
    return report["answers"], report["failures"]


def warm(path, runs, preload):
    answers, failures = execute(path, runs, preload)
    assert failures == []
    return answers


def preload_source(path, source, *names):
    """Preloads a library with this source, and `names`. Returns the names that failed."""
    (path / "lib.py").write_text(textwrap.dedent(source))
    return execute(path, [], ["lib", *names])[1]
