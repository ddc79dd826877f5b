"""The texts of a job, and what the runner gets of them."""

import json
import sys

import pytest
from warm_interpreter import SOURCES
from warm_up import load_job

VALUES = {"a": [1, 2.5, "é", None, True, {"b": []}], "__builtins__": {"x": 1}, "c": {"__builtins__": 2}}
TEXT = json.dumps(VALUES).encode()


@pytest.fixture
def loader(monkeypatch):
    # A sandbox venv has no simplejson.
    monkeypatch.setattr(load_job, "json", json)
    script = (SOURCES / "runner/jailed_code.py").read_text(encoding="utf-8")
    return load_job.JobLoader(compile(script, "jailed_code", "exec", 0, True))


def test_the_code_is_a_text(loader):
    assert loader.load(rb'"x = \"1\""', b"{}", True)[0] == 'x = "1"'


@pytest.mark.parametrize("shallow", [True, False])
def test_globals_pass_json_safe_whether_or_not_they_are_known_to_be_shallow(loader, shallow):
    expected = {name: value for name, value in VALUES.items() if name != "__builtins__"}
    assert loader.load(b'""', TEXT, shallow)[1] == expected


def test_what_is_too_deep_for_json_is_refused(loader):
    with pytest.raises(RecursionError):
        loader.load(b'""', b'{"a": %s}' % (b"[" * 200_000), True)


@pytest.mark.skipif(not hasattr(sys, "get_int_max_str_digits"), reason="this Python takes any number of digits")
def test_an_integer_of_too_many_digits_is_refused(loader):
    with pytest.raises(ValueError, match="integer string conversion"):
        loader.load(b'""', b'{"a": %s}' % (b"9" * 5000), True)


def test_prefault_has_no_effect(loader):
    before = set(sys.modules)
    loader.prefault()
    assert set(sys.modules) == before
