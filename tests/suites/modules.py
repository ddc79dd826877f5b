"""Which of CPython's test modules are run: all except those that need what neither side has."""

import subprocess
from pathlib import Path

# What each module is about, and why no run of it would show anything.
LEFT_OUT = {
    "test_embed test_frozenmain test_tools test_peg_generator test_cppext test_cext": "need CPython's sources",
    "test_gdb test_lib2to3 test_distutils test_ensurepip test_venv test_zipapp": "need programs, or pip",
    "test_idle test_tcl test_tk test_ttk_guionly test_ttk_textonly test_turtle test_tix test_curses test_readline "
    "test_pty test_winconsoleio test_winreg test_winsound test_ioctl": "need a terminal or a screen",
    "test_urllib2net test_urllibnet test_timeout test_robotparser test_smtpnet": "need a network",
    "test_bigaddrspace test_bigmem test_crashers test_regrtest": "need gigabytes, or are about the test runner",
}
NAMES_LEFT_OUT = {name for names in LEFT_OUT for name in names.split()}


def modules_of(python, at, words):
    """The names of modules, also of those in packages of tests; only `words` if any are given."""
    directory = Path(at, "test") if at else standard_library(python) / "test"
    found = []
    for path in sorted(directory.glob("test_*")):
        name = path.stem
        if name in NAMES_LEFT_OUT or (words and name not in words):
            continue
        if path.suffix == ".py":
            found.append(f"test.{name}")
        elif (path / "__init__.py").exists():
            found += [f"test.{name}.{part.stem}" for part in sorted(path.glob("test_*.py"))]
    assert found, f"no tests in {directory}"
    return found


def standard_library(python):
    command = [python, "-c", "import os; print(os.path.dirname(os.__file__))"]
    return Path(subprocess.check_output(command, encoding="utf-8").strip())
