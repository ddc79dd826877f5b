"""The text of `jailed_code`, of which authors see a part."""

import hashlib

from warm_interpreter import SOURCES

SCRIPT = SOURCES / "runner/jailed_code.py"


def test_the_text_is_what_it_always_was():
    """Tracebacks quote its lines of code and their numbers. A change here changes answers.

    docs/fidelity.md has the rule. A comment may change as long as it keeps its number of lines: a
    traceback never quotes one.
    """
    lines = SCRIPT.read_text().splitlines()
    code = ["" if line.lstrip().startswith("#") else line for line in lines]
    digest = hashlib.sha256("\n".join(code).encode()).hexdigest()
    assert digest == "d6ef70f3050204005c08ba5b2fce2ae764a36a7d43eb993060dec1cb5e6a8827"


def test_one_line_executes_the_code():
    """The worker cuts the script into two parts at this line."""
    assert SCRIPT.read_text(encoding="utf-8").count("\nexec(code, g_dict)\n") == 1
