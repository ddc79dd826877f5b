"""A warm interpreter beside a fresh one: every run has the result that it has where nothing is preloaded."""

import json
from pathlib import Path

import pytest
from warm_interpreter import NO_PROLOG, PRELOAD, PROLOG, cases_of, execute, warm

CASES = cases_of((Path(__file__).parent / "answers.txt").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=["prolog", "no prolog"])
def answers(request, tmp_path_factory):
    prolog = PROLOG if request.param == "prolog" else NO_PROLOG
    runs = [prolog + code for code in CASES.values()]
    path = tmp_path_factory.mktemp("run")
    fresh, _ = execute(path, runs)
    return dict(zip(CASES, fresh)), dict(zip(CASES, warm(path, runs, PRELOAD)))


@pytest.mark.parametrize("case", CASES)
def test_a_warm_interpreter_answers_as_a_fresh_one(answers, case):
    fresh, warmed = answers
    assert warmed[case] == fresh[case]


def test_a_failed_preload_fails_in_the_run_as_in_a_fresh_interpreter(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from package import part\nimport os\nif os.environ.get('NOT'): 1/0\nx = part.x"
    )
    (package / "part.py").write_text("import package\nx = 1\ndef up(): return package.x")
    code = "import os; os.environ.pop('NOT', 0)\nimport package; r = package.part.up()"
    answers, failures = execute(tmp_path, [code], ["package"], {"NOT": "1"})
    assert failures == [("package", "ZeroDivisionError: division by zero")]
    assert answers == ["1"]


def test_simplejson_takes_the_place_of_json_if_it_is_there(tmp_path):
    (tmp_path / "simplejson.py").write_text("")
    code = "import sys; r = 'simplejson' in sys.modules, 'json' in sys.modules"
    assert warm(tmp_path, [code], []) == execute(tmp_path, [code])[0] == ["(True, False)"]


def test_with_nothing_to_preload_a_run_finds_little_more_than_the_runner_imports(
    tmp_path,
):
    code = "import sys; r = sorted(sys.modules)"
    (fresh,), (warmed,) = execute(tmp_path, [code])[0], warm(tmp_path, [code], [])
    fresh, warmed = json.loads(fresh.replace("'", '"')), json.loads(warmed.replace("'", '"'))
    assert set(fresh) <= set(warmed)
    assert not {"random", "logging", "tempfile", "numpy"} & set(warmed)
