"""A part of `make fidelity-suites`, and tests of the code that finds the reasons."""

import os
import sys
from pathlib import Path

import pytest

# The original's module is there. Last in the path, since other directories have a conftest, too.
sys.path.append(str(Path(__file__).parents[1] / "fidelity"))

from compare import compare
from comparison import can_run
from reasons import reason_of
from system_calls import LINE, joined

SUITES = Path(os.environ.get("CODEJAIL_TEST_PYTHONS", Path(__file__).parents[2] / "target")) / "suites"
# These test locks, descriptors, files, threads and a database, and take seconds.
MODULES = ["test_dbm", "test_fcntl", "test_select", "test_shelve", "test_tempfile", "test_thread"]


def test_a_test_of_cpythons_that_fails_here_alone_has_a_call_that_was_denied(tmp_path_factory):
    if reason := can_run():
        pytest.skip(reason)
    python = SUITES / "venv/bin/python"
    if not python.exists():
        pytest.skip(f"{python} was not made: make cpython-tests")
    (modules_at,) = SUITES.glob("venv/lib/python3.*/site-packages/suites")
    directory = tmp_path_factory.mktemp("suites")
    report = compare(directory, python, str(modules_at), MODULES, minutes_max=5)
    assert report.unexplained == []
    assert report.passed_there > 400
    # test_fcntl and test_select fork, test_fcntl locks a file by flock.
    assert report.counts["forks"] > 0 and report.counts["flock"] > 0


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD) = -1 EAGAIN (Resource)", "forks"),
        ("clone(child_stack=0x7f, flags=CLONE_VM|CLONE_VFORK|SIGCHLD) = -1 EAGAIN (Resource)", "programs"),
        ("socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = -1 EACCES (Permission denied)", "network"),
        ("fcntl(3</tmp/codejail-a/tmp/x>, F_SETLK, {l_type=F_RDLCK}) = 0", "no-effect"),
        ("fcntl(3<pipe:[1]>, F_SETPIPE_SZ, 32768) = -1 EACCES (Permission denied)", "calls"),
        ('openat(AT_FDCWD</>, "/proc/self/fd", O_RDONLY) = -1 EACCES (Permission denied)', "proc"),
        ('openat(AT_FDCWD</>, "/etc/mime.types", O_RDONLY) = -1 EACCES (Permission denied)', "files"),
        ('chmod("x", 04755) = -1 EACCES (Permission denied)', "modes"),
        ('openat(AT_FDCWD</tmp/codejail-a>, "x", O_RDONLY) = -1 ENOENT (No such file)', None),
        ("fcntl(3</tmp/codejail-a/tmp/x>, F_GETFL) = 0x8000", None),
    ],
)
def test_the_reason_is_that_of_the_call_and_its_answer(call, reason):
    _, name, arguments, _, errno = LINE.match(f"77  {call}").groups()
    found = reason_of([(name, arguments, errno)])
    assert (found and found[0]) == reason


def test_a_line_that_another_thread_interrupted_is_made_whole():
    lines = [
        "1 socket(AF_INET, <unfinished ...>",
        "2 getpid() = 2",
        "1 <... socket resumed>SOCK_STREAM) = -1 EACCES (x)",
    ]
    assert list(joined(lines)) == ["2 getpid() = 2", "1 socket(AF_INET, SOCK_STREAM) = -1 EACCES (x)"]
