"""Some cases of `make fidelity` on the other CPythons that sites run. `scripts/test-pythons.sh` makes a venv of each
that is installed.
"""

import os
from pathlib import Path

import pytest
from cases import all_cases
from comparison import UID_BASE, can_run, judge, sides, version_of
from running_service import UID_COUNT

VERSIONS = ["3.8", "3.9", "3.10", "3.12", "3.13"]
DIRECTORY = Path(os.environ.get("CODEJAIL_TEST_PYTHONS", Path(__file__).parents[2] / "target"))

# Each version runs one case in 30, and no two versions run the same cases. All cases would take
# minutes.
EVERY = 30
CASES = [case for case in all_cases() if not case.slow]

# These Pythons have few libraries. If the original answers this, the case is skipped.
MISSING_LIBRARY = "No module named"


@pytest.mark.parametrize("version", VERSIONS)
def test_each_python_answers_as_the_original_with_it(version, tmp_path_factory):
    python = DIRECTORY / f"python-{version}/venv/bin/python"
    if not python.exists():
        pytest.skip(f"no CPython {version} is installed by pyenv, or {python} was not made")
    if reason := can_run():
        pytest.skip(reason)
    assert ".".join(map(str, version_of(python))) == version
    compared, wrong = 0, []
    # The other tests of this session start services too, with the uids below these.
    uids_from = UID_BASE + 4 * UID_COUNT
    with sides(tmp_path_factory.mktemp(f"python-{version}"), python, uids_from) as all_sides:
        for case in CASES[VERSIONS.index(version) :: EVERY]:
            case = case.on(version_of(python))
            answers = all_sides.answers(case)
            if MISSING_LIBRARY in answers["original"]:
                continue
            compared += 1
            if (verdict := judge(case, answers)) not in ("agrees", "differs on purpose"):
                wrong.append(verdict)
    assert not wrong, "\n".join(wrong)
    assert compared > len(CASES) / EVERY / 2, f"only {compared} of the cases could be compared"
