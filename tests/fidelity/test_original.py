"""The original works wherever the checkout is: its caller may not be able to read that."""

import shutil
from pathlib import Path

import codejail
import pytest
from comparison import LIMITS, can_run
from original import Original
from running_service import SANDBOX_PYTHON


def test_the_original_answers_from_a_place_that_its_caller_can_not_read(tmp_path, monkeypatch):
    reason = can_run()
    if reason:
        pytest.skip(reason)
    shutil.copytree(Path(codejail.__file__).parent, tmp_path / "codejail")
    tmp_path.chmod(0o700)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    original = Original(SANDBOX_PYTHON, LIMITS, {})
    try:
        request = {"code": "x = 1", "globals": "{}", "python_path": False, "context": None, "library": None}
        answer = original.execute(request)
    finally:
        original.close()
    assert answer == ('{"x": 1}', None)


def test_a_python_that_the_original_would_not_find_is_refused():
    with pytest.raises(ValueError, match=r"/tmp/venv/bin/python: .* must lie elsewhere"):
        Original("/tmp/venv/bin/python", LIMITS, {})
