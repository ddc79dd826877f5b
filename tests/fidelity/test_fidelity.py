"""The short form of `make fidelity`: some cases, a few programs, and tests that need no service."""

import re
from pathlib import Path

import pytest
from cases import all_cases
from comparison import judge, version_of
from programs import differing_program
from rngs import repeated_draws, seeded_states
from running_service import SANDBOX_PYTHON

# All cases take minutes: for each the original starts an interpreter and imports libraries.
EVERY = 10
PROGRAMS = 25
EXECUTIONS = 60

CASES = all_cases()
SHORT = [case for case in CASES if not case.slow][::EVERY]
DIFFERENCES = Path(__file__).parents[2] / "docs/fidelity.md"


@pytest.mark.parametrize("case", SHORT, ids=[case.name for case in SHORT])
def test_the_answer_is_the_originals_with_and_without_preloading(all_sides, case):
    case = case.on(version_of(SANDBOX_PYTHON))
    verdict = judge(case, all_sides.answers(case))
    assert verdict in ("agrees", "differs on purpose"), verdict


def test_programs_that_nobody_wrote_get_the_same_answers(all_sides):
    difference = differing_program(all_sides, PROGRAMS, number=1)
    assert difference is None, difference


def test_no_two_executions_draw_the_same(all_sides):
    assert repeated_draws(all_sides, EXECUTIONS) == []


def test_the_generators_that_libraries_seeded_are_those_of_a_fresh_interpreter(all_sides):
    warm = seeded_states(lambda case: all_sides.ask("warm", case))
    assert warm == seeded_states(lambda case: all_sides.ask("fresh", case))


def test_every_difference_on_purpose_is_documented_and_has_a_case():
    documented = set(re.findall(r"^\| `([a-z0-9-]+)` \|", DIFFERENCES.read_text(encoding="utf-8"), re.MULTILINE))
    assert documented == {case.differs for case in CASES if case.differs}


def test_a_difference_that_nobody_explained_is_reported():
    case = CASES[0]
    assert judge(case, {"original": "1", "warm": "1", "fresh": "1"}) == "agrees"
    assert "not as the original" in judge(case, {"original": "1", "warm": "2", "fresh": "2"})
    assert "not as the fresh" in judge(case, {"original": "1", "warm": "2", "fresh": "1"})
