"""The report, in the form of the table in docs/fidelity.md."""

import subprocess
from collections import Counter
from datetime import date

from reasons import ORDER


class Report:
    """For each module the outcomes on both sides, and for each test that differs the reason."""

    def __init__(self, python, outcomes, found):
        self._python = python
        self._outcomes = outcomes
        self._found = found
        self.counts = Counter(reason for reason, _ in found.values())
        self.passed_there = sum(result[0] == "passed" for there, _ in outcomes.values() for result in there.values())
        self.unexplained = sorted(name for name, (reason, _) in found.items() if reason is None)

    def text(self, seconds):
        version = subprocess.check_output([self._python, "-V"], encoding="utf-8").strip()
        totals = [Counter(r[0] for sides in self._outcomes.values() for r in sides[i].values()) for i in (0, 1)]
        lines = [
            f"{version}, {date.today()}: {len(self._outcomes)} modules, {seconds / 60:.0f} min.",
            "",
            "| | original | here |",
            "|---|---|---|",
            *(f"| {outcome} | {totals[0][outcome]} | {totals[1][outcome]} |" for outcome in OUTCOMES),
            "",
            *self._by_reason(),
            "",
            *self._by_module(),
        ]
        if self.unexplained:
            lines += ["", "Unexplained:", ""]
            lines += [f"- `{name}`: {self._found[name][1]}" for name in self.unexplained]
        return "\n".join(lines) + "\n"

    def each_test(self):
        """Each test that passes there and not here, with the call that is its reason."""
        lines = [f"{name}: {reason}: {shown}" for name, (reason, shown) in self._found.items()]
        return "\n".join(lines) + "\n"

    def _by_reason(self):
        shown = {reason: call for reason, call in self._found.values()}
        yield "| pass there and not here: reason | tests | a call, and its answer |"
        yield "|---|---|---|"
        for reason in [*ORDER, None]:
            if self.counts[reason]:
                call = shown[reason].replace("|", "\\|").replace("`", "'")
                yield f"| {reason or 'unexplained'} | {self.counts[reason]} | `{call}` |"

    def _by_module(self):
        yield "| module | pass there | pass here | differ |"
        yield "|---|---|---|---|"
        for module, (there, here) in self._outcomes.items():
            reasons = Counter(self._found[name][0] or "unexplained" for name in there if name in self._found)
            if not reasons:
                continue
            passed = [sum(result[0] == "passed" for result in side.values()) for side in (there, here)]
            text = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
            yield f"| `{module}` | {passed[0]} | {passed[1]} | {text} |"


OUTCOMES = ("passed", "skipped", "failed", "ended")
