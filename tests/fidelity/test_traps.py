"""docs/traps.md names a test for each trap. Is each of them there?"""

import functools
import re
from pathlib import Path

import pytest
from cases import all_cases

REPOSITORY = Path(__file__).parents[2]
# The directories with tests; `target` must not be searched.
DIRECTORIES = ("supervisor", "worker", "protocol", "transport", "api_tests", "tests")
CASES = [case.name for case in all_cases()]
# The text that shows a test with this name. An ignored Rust test does not count, since nothing runs
# it. A probe is a name in a table of probes.
TESTS = {
    "rust": r"#\[test\]\s*(?:#\[(?!ignore)[^\]]*\]\s*)*fn {}\(\)",
    "probe": r'"{}",',
    "python": r"^def (?=test_){}\(",
}


def traps():
    """The rows: the trap, and the cell that names its tests."""
    text = (REPOSITORY / "docs/traps.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [tuple(row) for row in rows if row != ["trap", "test"]]


@functools.cache
def files_of_tests():
    found = [path for name in DIRECTORIES for path in (REPOSITORY / name).rglob("*") if path.suffix in (".rs", ".py")]
    assert len(found) > 100, "DIRECTORIES does not name the directories with tests"
    return found


def missing(cell):
    """The names in a cell to which no test belongs; and "no test" if the cell names no test at all."""
    wrong, tests, text, sort = [], 0, "", "rust"
    for name, case in re.findall(r'`([^`]+)`|"([^"]+)"', cell):
        if name.endswith((".rs", ".py")):
            paths = [path for path in files_of_tests() if str(path).endswith(f"/{name}")]
            wrong += [] if len(paths) == 1 else [f"{name}: {len(paths)} files"]
            text = paths[0].read_text(encoding="utf-8") if paths else ""
            sort = "python" if name.endswith(".py") else "probe" if name.startswith("probes/") else "rust"
            continue
        tests += 1
        if case:
            there = any(f"{known} ".startswith(f"{case} ") for known in CASES)
        else:
            there = re.search(TESTS[sort].format(re.escape(name)), text, re.MULTILINE)
        wrong += [] if there else [name or case]
    return wrong if tests else [*wrong, "no test"]


@pytest.mark.parametrize(("trap", "cell"), traps(), ids=[row[0] for row in traps()])
def test_the_tests_of_a_trap_are_there(trap, cell):
    assert missing(cell) == []


@pytest.mark.parametrize(
    ("cell", "wrong"),
    [
        ("`traps.rs`: `a_request_has_no_say_in_what_is_preloaded`; `contract/executions.rs`", []),
        ("`traps.rs`: `a_test_that_nobody_wrote`", ["a_test_that_nobody_wrote"]),
        (
            "`contract/executions.rs`: `a_request_has_no_say_in_what_is_preloaded`",
            ["a_request_has_no_say_in_what_is_preloaded"],
        ),
        ("`processes.rs`: `deny_fork`", ["processes.rs: 2 files", "deny_fork"]),
        ("`spawner/leftovers.rs`: `make_deep`", ["make_deep"]),
        ("`no_such_file.rs`: `a_test`", ["no_such_file.rs: 0 files", "a_test"]),
        ("`probes/processes/new.rs`: `deny_fork`, `deny_for`", ["deny_for"]),
        ("`test_rng.py`: `draws`", ["draws"]),
        ('"environment: argv", "environment: arg"', ["environment: arg"]),
        ("`traps.rs`", ["no test"]),
        ("none", ["no test"]),
    ],
)
def test_a_test_that_is_not_there_is_missed(cell, wrong):
    assert missing(cell) == wrong
