"""The service warns of `CODEJAIL_*` variables that it does not know, but not of those that the Makefile sets."""

import re
from pathlib import Path

TREE = Path(__file__).parents[2]


def test_the_service_passes_over_what_the_makefile_sets():
    makefile = (TREE / "Makefile").read_text(encoding="utf-8")
    set_there = set(re.findall(r"^(?:export |\t)(CODEJAIL_\w+) ?:?=", makefile, re.MULTILINE))
    assert len(set_there) > 4
    source = (TREE / "supervisor/src/config/variables.rs").read_text(encoding="utf-8")
    beginnings = re.search(r"const OF_TESTS: &\[&str\] = &\[(.*?)\];", source, re.DOTALL)[1]
    passed_over = ("CODEJAIL_BIN", *re.findall(r'"(\w+)"', beginnings))
    assert {name for name in set_there if not name.startswith(passed_over)} == set()
