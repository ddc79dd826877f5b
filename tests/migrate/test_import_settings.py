"""`codejail import-settings`: the original's settings, YAML or Python, with an account of each key."""

import os
import subprocess
import sys

import pytest
from running_service import CODEJAIL

YAML = """\
CODEJAIL_ENABLED: yes
SECRET_KEY: a-secret
LOGGING_FORMAT_STRING: '%(message)s'
CODE_JAIL:
  python_bin: /sandbox/venv/bin/python
  user: sandbox
  limits: {CPU: 3, REALTIME: 3.5, VMEM: 536_870_912, FSIZE: 10485760, NPROC: null, PROXY: 0}
  limit_overrides:
    course-v1:org+course+run: {NPROC: 30, PROXY: 0}
"""

# The same, for an operator who derives settings from the original's.
PYTHON = """\
from codejail_service.settings.production import *
ALLOWED_HOSTS += ["codejail"]
CODEJAIL_ENABLED = True
LOGGING["loggers"]["x"] = {}
print("settings print what they like")
def megabytes(number):
    return number * MIB
MIB = 1 << 20
CODE_JAIL = {"python_bin": "/sandbox/venv/bin/python", "user": "sandbox", "limits": {"CPU": 3, "PROXY": 0}}
CODE_JAIL["limits"].update(REALTIME=3.5, VMEM=megabytes(512), FSIZE=megabytes(10), NPROC=None)
CODE_JAIL["limit_overrides"] = {"course-v1:org+course+run": {"NPROC": 30, "PROXY": 0}}
del MIB
"""

TAKEN = """\
enabled = true  # FILE, CODEJAIL_ENABLED

[python]
bin = "/sandbox/venv/bin/python"  # FILE, CODE_JAIL.python_bin

[limits]
CPU = 3  # FILE, CODE_JAIL.limits.CPU
REALTIME = 3.5  # FILE, CODE_JAIL.limits.REALTIME
VMEM = 536870912  # FILE, CODE_JAIL.limits.VMEM
FSIZE = 10485760  # FILE, CODE_JAIL.limits.FSIZE
NPROC = 0  # FILE, CODE_JAIL.limits.NPROC

[limit_overrides."course-v1:org+course+run"]
NPROC = 30  # FILE, CODE_JAIL.limit_overrides.course-v1:org+course+run.NPROC
"""


def codejail(*arguments, **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CODEJAIL_")}
    return subprocess.run(
        [CODEJAIL, *map(str, arguments)], capture_output=True, text=True, env=environment | variables, check=False
    )


def written(directory, name, text):
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return path


def import_settings(directory, name, text):
    path = written(directory, name, text)
    done = codejail("import-settings", path, "--python", sys.executable)
    return done, done.stdout.replace(str(path), "FILE"), done.stderr.replace(str(path), "FILE")


def fates(report):
    """Each key of a report, with the report's word on it."""
    lines = [line for line in report.splitlines() if line[:16].strip() in ("taken", "no effect here", "not understood")]
    return {line[16:].split(": ")[0]: line[:16].strip() for line in lines}


@pytest.mark.parametrize(("name", "text"), [("settings.yml", YAML), ("settings.py", PYTHON)])
def test_settings_become_a_configuration_and_each_key_is_accounted_for(tmp_path, name, text):
    done, toml, report = import_settings(tmp_path, name, text)
    assert toml == TAKEN
    assert done.returncode == 0, report
    names = {"CODEJAIL_ENABLED", "CODE_JAIL.python_bin", "CODE_JAIL.limit_overrides.course-v1:org+course+run.NPROC"}
    taken = names | {f"CODE_JAIL.limits.{limit}" for limit in ("CPU", "REALTIME", "VMEM", "FSIZE", "NPROC")}
    proxies = {"CODE_JAIL.limits.PROXY", "CODE_JAIL.limit_overrides.course-v1:org+course+run.PROXY"}
    django = {"settings.yml": {"SECRET_KEY", "LOGGING_FORMAT_STRING"}, "settings.py": {"ALLOWED_HOSTS", "LOGGING"}}
    found = fates(report)
    assert {key for key, fate in found.items() if fate == "taken"} == taken
    assert {key for key, fate in found.items() if fate == "no effect here"} == proxies | {"CODE_JAIL.user"} | django[
        name
    ]
    assert "not understood" not in report and "a-secret" not in report


def test_the_configuration_means_what_serve_reads_from_the_same_yaml(tmp_path):
    _, toml, _ = import_settings(tmp_path, "settings.yml", YAML)

    def effective(*arguments, **variables):
        done = codejail("serve", "--print-config", *arguments, **variables)
        assert done.returncode == 0, done.stderr
        return [line.split("  #")[0] for line in done.stdout.splitlines()]

    of_yaml = effective(CODEJAIL_SERVICE_CFG=str(tmp_path / "settings.yml"))
    assert effective("--config", written(tmp_path, "codejail.toml", toml)) == of_yaml
    assert effective() != of_yaml


@pytest.mark.parametrize(
    ("name", "text", "key"),
    [
        ("a.yml", "CODE_JAIL: {limits: {CPUS: 3}}", "FILE: CODE_JAIL.limits.CPUS = 3"),
        ("a.yml", "CODE_JAIL: {limits: {CPU: much}}", 'FILE: CODE_JAIL.limits.CPU = "much"'),
        ("a.yml", "CODE_JAIL: []", "FILE: CODE_JAIL = a list"),
        ("a.yml", "CODEJAIL_ENABLE: true", "CODEJAIL_ENABLE"),
        ("a.yml", "[1, 2]", "FILE: the file = a list"),
        ("a.py", "CODEJAIL_WORKER_COUNT = 3", "CODEJAIL_WORKER_COUNT"),
        ("a.py", "CODE_JAIL = {'limits': {'REALTIME': float('inf')}}", 'FILE: CODE_JAIL.limits.REALTIME = "inf"'),
        (
            "a.py",
            "CODE_JAIL = {'limits': {'VMEM': 1 << 90}}",
            "FILE: CODE_JAIL.limits.VMEM = 1237940039285380300000000000.0",
        ),
        ("a.py", "CODE_JAIL = {'python_bin': object}", "FILE: CODE_JAIL.python_bin = \"<class 'object'>\""),
        ("a.py", "CODE_JAIL = {'python_bin': '\\ud800'}", 'FILE: CODE_JAIL.python_bin = "?"'),
    ],
)
def test_a_key_that_is_not_understood_is_named_and_changes_the_exit_status(tmp_path, name, text, key):
    done, toml, report = import_settings(tmp_path, name, text)
    assert (done.returncode, toml) == (1, "")
    assert report.startswith(f"not understood  {key}: "), report


def test_what_is_understood_is_taken_beside_what_is_not(tmp_path):
    done, toml, report = import_settings(tmp_path, "a.yml", "CODE_JAIL: {limits: {CPU: 2, CPUS: 3}}")
    assert (done.returncode, toml) == (1, "\n[limits]\nCPU = 2  # FILE, CODE_JAIL.limits.CPU\n")
    assert "did you mean CPU?" in report.splitlines()[-1]


def test_python_that_tutor_s_older_service_ran_is_read_by_its_class(tmp_path):
    text = "from codejailservice.config import ProductionConfig\nclass ProductionConfig(ProductionConfig):\n"
    text += "    CODE_JAIL = ProductionConfig.CODE_JAIL\n    CODE_JAIL['limits']['CPU'] = 7\n    TESTING = False\n"
    done, toml, report = import_settings(tmp_path, "a.py", text)
    for line in ["enabled = true", "CPU = 7", "FSIZE = 10485760", "VMEM = 0"]:
        assert line in toml
    assert done.returncode == 1 and fates(report)["TESTING"] == "not understood"


def test_settings_import_their_neighbours_and_what_the_given_python_has(tmp_path):
    written(tmp_path, "limits.py", "CPU = 4\n")
    text = (
        "import pathlib\nfrom limits import CPU\nCODE_JAIL = {'python_bin': pathlib.Path('/x'), 'limits': {'CPU': CPU}}"
    )
    done, toml, report = import_settings(tmp_path, "a.py", text)
    assert "CPU = 4" in toml and 'bin = "/x"' in toml
    assert done.returncode == 1 and fates(report)["CPU"] == "not understood"


@pytest.mark.parametrize(
    ("name", "text", "status", "said"),
    [
        ("a.yml", "a: [", 65, "FILE"),
        ("a.yml", "a: 1\n---\nb: 2", 65, "more than one document"),
        ("a.py", "1/0", 65, "ZeroDivisionError"),
        ("a.py", "import no_such_module", 65, "--python names a Python that has it"),
        ("a.py", "def", 65, "SyntaxError"),
        ("a.py", "import os\nos._exit(0)", 65, "can't be read from Python"),
    ],
)
def test_a_file_that_can_not_be_read_prints_nothing_and_says_why(tmp_path, name, text, status, said):
    done, toml, report = import_settings(tmp_path, name, text)
    assert (done.returncode, toml) == (status, "")
    assert said in report


def test_files_and_pythons_that_are_not_there_are_named(tmp_path):
    done = codejail("import-settings", tmp_path / "nothing.yml")
    assert (done.returncode, done.stdout) == (66, "")
    assert f"cannot read {tmp_path}/nothing.yml" in done.stderr
    file = written(tmp_path, "a.py", "")
    done = codejail("import-settings", file, "--python", "/nonexistent/python")
    assert done.returncode == 66 and "cannot start /nonexistent/python" in done.stderr
    huge = written(tmp_path, "huge.yml", "# x\n" * (1 << 20) + "a: 1\n")
    done = codejail("import-settings", huge)
    assert done.returncode == 65 and "no settings file" in done.stderr
    written(tmp_path, "latin.yml", "").write_bytes(b"a: \xe9")
    assert "it is not UTF-8" in codejail("import-settings", tmp_path / "latin.yml").stderr


def test_settings_go_over_a_configuration_whose_other_keys_stay(tmp_path):
    base = written(tmp_path, "base.toml", "workers = 4\n[limits]\nCPU = 1\nNPROC = 20\n[python]\npreload = ['six']\n")
    settings = written(tmp_path, "a.yml", "CODE_JAIL: {limits: {CPU: 2}}")
    done = codejail("import-settings", settings, "--over", base)
    assert done.returncode == 0, done.stderr
    lines = [line.split("  #")[0] for line in done.stdout.splitlines() if line]
    assert lines == ["workers = 4", "[python]", 'preload = ["six"]', "[limits]", "CPU = 2", "NPROC = 20"]
    assert "NPROC" not in done.stderr
    for wrong in ("workers = 0", "workers ="):
        done = codejail("import-settings", settings, "--over", written(tmp_path, "wrong.toml", wrong))
        assert (done.returncode, done.stdout) == (78, "")
        assert "wrong.toml" in done.stderr
