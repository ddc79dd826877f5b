"""Every case on every side, then generated programs: `make fidelity`.

Prints what differs and, at the end, how many cases there were. Exits 1 if a difference is not
explained.

    python tests/fidelity [--python PYTHON] [--programs N] [--seed N] [WORD ...]

With WORDs, only cases whose names contain one of them are run. PYTHON is the sandboxes'.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(1, str(Path(__file__).parents[1]))

from cases import all_cases
from comparison import can_run, judge, sides, version_of
from programs import differing_program
from rngs import repeated_draws, seeded_states
from running_service import SANDBOX_PYTHON

# Executions of a warm service. No two of them may share unseeded random state.
EXECUTIONS = 1000


def main():
    arguments = parser().parse_args()
    reason = can_run()
    if reason:
        print(f"fidelity: not run: {reason}")
        return 2
    version = version_of(arguments.python)
    cases = [
        case.on(version) for case in all_cases() if not arguments.words or any(w in case.name for w in arguments.words)
    ]
    counts = {"agrees": 0, "differs on purpose": 0}
    wrong = []
    with tempfile.TemporaryDirectory(prefix="fidelity-") as directory:
        Path(directory).chmod(0o755)
        with sides(Path(directory), arguments.python) as all_sides:
            for case in cases:
                verdict = judge(case, all_sides.answers(case))
                if verdict in counts:
                    counts[verdict] += 1
                else:
                    wrong.append(verdict)
                    print(verdict, flush=True)
            programs = 0 if arguments.words else arguments.programs
            if programs and (difference := differing_program(all_sides, programs, arguments.seed)):
                wrong.append(difference)
                print(difference)
            if not arguments.words:
                wrong += differing_randomness(all_sides)
    print(
        f"fidelity, {arguments.python}: {len(cases)} cases and {programs} generated programs: "
        f"{counts['agrees']} cases agree, {counts['differs on purpose']} differ on purpose, "
        f"{len(wrong)} unexplained"
    )
    return 1 if wrong else 0


def differing_randomness(all_sides):
    repeated = repeated_draws(all_sides, EXECUTIONS)
    seeded = {name: seeded_states(lambda case, n=name: all_sides.ask(n, case)) for name in ("warm", "fresh")}
    found = []
    if repeated:
        found.append(f"two of {EXECUTIONS} executions drew the same: {repeated}")
    if seeded["warm"] != seeded["fresh"]:
        found.append(f"generators that libraries seeded: {seeded}")
    print("".join(line + "\n" for line in found), end="")
    return found


def parser():
    p = argparse.ArgumentParser(prog="tests/fidelity")
    p.add_argument("--python", default=SANDBOX_PYTHON)
    p.add_argument("--programs", type=int, default=300)
    p.add_argument("--seed", type=int, default=1, help="another sequence of programs")
    p.add_argument("words", nargs="*")
    return p


sys.exit(main())
