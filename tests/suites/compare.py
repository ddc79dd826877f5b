"""Runs all modules on both sides, ours with a trace. Then explains each test that differs."""

import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from modules import modules_of
from reasons import reason_of, rule_of
from report import Report
from sides import original, service


def compare(directory, python, modules_at, words, minutes_max):
    """The report on the modules named by `words`, or on all. `directory` is for files. After `minutes_max` no other
    module is begun.
    """
    outcomes, last = {}, time.monotonic() + 60 * minutes_max
    with original(python, modules_at) as there, service(directory, python, modules_at) as (here, trace):
        for module in modules_of(python, modules_at, words):
            if time.monotonic() > last:
                break
            with ThreadPoolExecutor(2) as threads:
                both = [threads.submit(side.outcomes, module) for side in (there, here)]
                outcomes[module] = [side.result() for side in both]
            print(f"{module}: {line_of(*outcomes[module])}", file=sys.stderr, flush=True)
    return Report(python, outcomes, explain(outcomes, trace.calls(rule_of)))


def line_of(there, here):
    return f"there {dict(Counter(r[0] for r in there.values()))}, here {dict(Counter(r[0] for r in here.values()))}"


def differing(there, here):
    """The tests that pass there and not here."""
    passes = {name for name, result in here.items() if result[0] == "passed"}
    return [name for name, result in there.items() if result[0] == "passed" and name not in passes]


def explain(outcomes, calls):
    """For each test: (reason or None, the call or the test's message). If the test was skipped, or its class could not
    be set up, the calls before the test are looked at; if it failed, only its own calls.
    """
    found = {}
    for module, (there, here) in outcomes.items():
        for name in differing(there, here):
            said = here.get(name, ["missing", ""])
            marks = [f"{module} {name}"]
            if said[0] == "skipped" or marks[0] not in calls:
                marks += [f"{module} between", f"{module} import"]
            reasons = [reason_of(calls.get(mark, [])) for mark in marks]
            found[name] = next(filter(None, reasons), None) or (None, ": ".join(said))
    return found
