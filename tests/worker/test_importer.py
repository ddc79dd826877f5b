"""The worker's own modules: their importer loads them, and a run finds them nowhere afterwards."""

import subprocess
import sys

import pytest
from importer import load
from warm_interpreter import PYTHON, SOURCES, execute, modules, warm

# The modules import these at their top. A fresh interpreter may not have them yet. Most Pythons
# have them built in.
BUILT_IN = {"_frozen_importlib", "_locale", "_random", "_thread", "_warnings", "atexit", "gc", "os", "sys", "time"}

NEW_MODULES = """
import json, sys
importer = {}
exec(open(sys.argv[1]).read(), importer)
before = set(sys.modules)
importer["load"](eval(sys.stdin.read()), ["warm_up.entry", "warm_up.libraries", "warm_up.load_job"])
print(sorted(set(sys.modules) - before))
"""

# The places where a run could find the package or its functions.
TRACES = """
import gc, sys
named = [n for n in sys.modules if n.partition(".")[0] in ("warm_up", "importer")]
finders = [getattr(f, "__name__", type(f).__name__) for f in sys.meta_path]
paths = [p for p in sys.path_importer_cache if "codejail" in p or "warm_up" in p]
codes = [o.__code__.co_filename for o in gc.get_objects() if type(o) is type(lambda: 0)]
r = named, finders, paths, [c for c in codes if c.startswith("<codejail")]
"""


def state():
    return set(sys.modules), list(sys.meta_path), set(sys.path_importer_cache)


def test_modules_import_each_other_and_leave_no_name_no_finder_and_no_path():
    before = state()
    sources = {"pack": "", "pack.one": "from pack.two import x", "pack.two": "x = [__name__]"}
    one, two = load(sources, ["pack.one", "pack.two"])
    assert state() == before
    assert one.x is two.x
    assert two.x == ["pack.two"]


def test_a_module_that_fails_leaves_no_more_than_one_that_does_not():
    before = state()
    with pytest.raises(ZeroDivisionError):
        load({"pack": "", "pack.one": "import pack.two", "pack.two": "1 / 0"}, ["pack.one"])
    assert state() == before


def test_the_worker_is_told_of_every_module():
    names = (SOURCES.parent / "warm_up.rs").read_text(encoding="utf-8")
    listed = [f'module!("{name.partition(".")[2]}")' for name in modules() if name != "warm_up"]
    assert [name for name in listed if name not in names] == []


def test_the_modules_load_nothing_but_what_is_built_in():
    done = subprocess.run(
        [PYTHON, "-I", "-c", NEW_MODULES, str(SOURCES / "importer.py")],
        input=repr(modules()),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert set(eval(done.stdout)) <= BUILT_IN


def test_a_run_finds_nothing_of_the_modules(tmp_path):
    assert warm(tmp_path, [TRACES], ["statistics"]) == execute(tmp_path, [TRACES])[0]
