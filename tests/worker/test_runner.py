"""`jailed_code`, whose text is a part of what authors see."""

import hashlib

from warm_interpreter import SOURCES

SCRIPT = SOURCES / "runner/jailed_code.py"


def test_the_text_is_what_it_always_was():
    """Tracebacks quote its lines and their numbers. Who changes it changes answers: see docs/fidelity.md."""
    digest = hashlib.sha256(SCRIPT.read_bytes()).hexdigest()
    assert digest == "5dacc8e1416136a761f6c039ed499c44a3f6046c2ec7a9e0c0ea7084851836ce"


def test_one_line_executes_the_code():
    """There the worker cuts the script into two parts."""
    assert SCRIPT.read_text(encoding="utf-8").count("\nexec(code, g_dict)\n") == 1
