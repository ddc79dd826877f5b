"""CPython's own tests in sandboxes and on the original: `make fidelity-suites`.

    python tests/suites --python PYTHON [--modules-at DIRECTORY] [--write FILE] [MODULE ...]

Prints each test that passes on the original and not here, with the reason: the system call that was denied, or
done without an effect. Exits 1 if a difference has none. MODULE is `test_os` or the like; without one, all.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path[1:1] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "fidelity")]

from comparison import can_run
from modules import modules_of
from reasons import reason_of, rule_of
from report import Report
from running_service import SANDBOX_PYTHON
from sides import original, service


def main():
    arguments = parser().parse_args()
    reason = can_run()
    if reason:
        print(f"suites: not run: {reason}")
        return 2
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="suites-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        report = compare(arguments, directory)
    text = report.text(time.monotonic() - began)
    print(text)
    if arguments.write:
        Path(arguments.write).write_text(text, encoding="utf-8")
    return 1 if report.unexplained else 0


def compare(arguments, directory):
    """All modules on both sides; ours is traced meanwhile."""
    python, at = arguments.python, arguments.modules_at
    outcomes, last = {}, time.monotonic() + 60 * arguments.minutes
    with original(python, at) as there, service(directory, python, at) as (here, trace):
        for module in modules_of(python, at, arguments.modules):
            if time.monotonic() > last:
                break
            with ThreadPoolExecutor(2) as threads:
                both = [threads.submit(side.outcomes, module) for side in (there, here)]
                outcomes[module] = [side.result() for side in both]
            print(f"{module}: {line_of(*outcomes[module])}", file=sys.stderr, flush=True)
    found = explain(outcomes, trace.calls(rule_of))
    return Report(python, outcomes, found)


def line_of(there, here):
    return f"there {dict(Counter(r[0] for r in there.values()))}, here {dict(Counter(r[0] for r in here.values()))}"


def differing(there, here):
    """The tests that pass there and not here."""
    return [name for name, result in there.items() if result[0] == "passed" and passes_not(here, name)]


def passes_not(here, name):
    return here.get(name, ["missing"])[0] != "passed"


def explain(outcomes, calls):
    """By test: (reason or None, the call or what was said). Of a test that is skipped, or whose class could not be
    set up, the calls come before it.
    """
    found = {}
    for module, (there, here) in outcomes.items():
        for name in differing(there, here):
            marks = [f"{module} {name}", f"{module} between", f"{module} import"]
            reasons = [reason_of(calls.get(mark, [])) for mark in marks]
            said = here.get(name, ["missing", ""])
            found[name] = next(filter(None, reasons), None) or (None, ": ".join(said))
    return found


def parser():
    p = argparse.ArgumentParser(prog="tests/suites")
    p.add_argument("--python", default=SANDBOX_PYTHON)
    p.add_argument("--modules-at", help="a directory with the package `test`, where Python's own has no tests")
    p.add_argument("--write", help="a file for the report, beside standard output")
    p.add_argument("--minutes", type=float, default=600, help="after so many no other module is begun")
    p.add_argument("modules", nargs="*", metavar="MODULE")
    return p


if __name__ == "__main__":
    sys.exit(main())
