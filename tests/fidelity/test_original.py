"""The original that the tests start: it answers even if its user `app` can't read the checkout, it has accounts of its
own, and it refuses a Python that it would not find.
"""

import shutil
import subprocess
import sys
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


# The host has an account and a group with the original's names, in this namespace only.
PREPARED_HOST = """
import subprocess, sys
from pathlib import Path
sys.path[:0] = {path!r}
from original import Original
for name, entry in [("passwd", "sandbox:x:4242:4242::/srv/other:/bin/sh\\n"), ("group", "sandbox:x:4242:\\n")]:
    own = Path({directory!r}, name)
    own.write_text(entry + Path("/etc", name).read_text())
    subprocess.run(["mount", "--bind", str(own), "/etc/" + name], check=True)
original = Original({python!r}, {limits!r}, {{}})
code = "import os; x = [os.environ['HOME'], os.environ['SHELL'], os.getuid() == 4242]"
request = {{"code": code, "globals": "{{}}", "python_path": False, "context": None, "library": None}}
print(original.execute(request)[0])
original.close()
"""


def test_the_original_has_its_own_accounts_on_a_host_that_has_such_accounts(tmp_path):
    reason = can_run()
    if reason:
        pytest.skip(reason)
    path = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    script = PREPARED_HOST.format(path=path, directory=str(tmp_path), python=SANDBOX_PYTHON, limits=LIMITS)
    alone = ["unshare", "--mount", "--propagation", "private"]
    done = subprocess.run([*alone, sys.executable, "-c", script], capture_output=True, encoding="utf-8")
    assert done.stdout == '{"x": ["/nonexistent", "/usr/sbin/nologin", false]}\n', done.stderr


def test_a_python_that_the_original_would_not_find_is_refused():
    with pytest.raises(ValueError, match=r"/tmp/venv/bin/python: .* must lie elsewhere"):
        Original("/tmp/venv/bin/python", LIMITS, {})
