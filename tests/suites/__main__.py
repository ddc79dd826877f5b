"""CPython's own tests in sandboxes and on the original: `make fidelity-suites`.

    python tests/suites --python PYTHON [--modules-at DIRECTORY] [--write FILE] [MODULE ...]

Prints how many tests pass on each side. A test that passes on the original and not here has a reason: a system call
that was denied, or that succeeded without an effect. For each reason the program prints how many tests have it. It
exits 1 if a difference has no reason. MODULE is the name of a test module, such as `test_os`. Without MODULE all
modules run.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(1, str(Path(__file__).parents[1]))
sys.path.insert(1, str(Path(__file__).parents[1] / "fidelity"))

from compare import compare
from comparison import can_run
from running_service import SANDBOX_PYTHON


def main():
    arguments = parser().parse_args()
    reason = can_run()
    if reason:
        print(f"suites: not run: {reason}")
        return 2
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="suites-") as name:
        Path(name).chmod(0o755)
        asked = (arguments.python, arguments.modules_at, arguments.modules, arguments.minutes)
        report = compare(Path(name), *asked)
    text = report.text(time.monotonic() - began)
    print(text)
    if arguments.write:
        Path(arguments.write).write_text(f"{text}\n{report.each_test()}", encoding="utf-8")
    return 1 if report.unexplained else 0


def parser():
    p = argparse.ArgumentParser(prog="tests/suites")
    p.add_argument("--python", default=SANDBOX_PYTHON)
    p.add_argument("--modules-at", help="a directory with the package `test`, for a Python without it")
    p.add_argument("--write", help="a file for the report, beside standard output")
    p.add_argument("--minutes", type=float, default=600, help="after so many no other module is begun")
    p.add_argument("modules", nargs="*", metavar="MODULE")
    return p


if __name__ == "__main__":
    sys.exit(main())
