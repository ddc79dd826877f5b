"""The files of deploy/docker, as far as tests without an engine can tell."""

import ctypes
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from containers import REPOSITORY
from modes import ALWAYS, CAPABILITIES, ELSEWHERE, MODES

DIRECTORY = REPOSITORY / "deploy/docker"
# No container of the service needs these calls, and attacks on kernels have used them.
NEVER = [
    *("add_key", "bpf", "finit_module", "init_module", "io_uring_setup", "kexec_load", "keyctl", "open_by_handle_at"),
    *("perf_event_open", "process_vm_readv", "process_vm_writev", "ptrace", "reboot", "request_key", "userfaultfd"),
]


def test_hadolint_has_nothing_to_say():
    hadolint = Path(sys.executable).with_name("hadolint")
    ended = subprocess.run([hadolint, DIRECTORY / "Dockerfile"], capture_output=True, encoding="utf-8", check=False)
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


@pytest.mark.parametrize(("line", "is_right"), [("mem_limit: 3g", True), ("memlimit: 3g", False)])
def test_compose_takes_the_file_and_no_misspelt_one(line, is_right, tmp_path):
    text = (DIRECTORY / "compose.yaml").read_text(encoding="utf-8")
    file = tmp_path / "compose.yaml"
    file.write_text(text.replace("mem_limit: 3g", line), encoding="utf-8")
    command = ["docker-compose", "--file", file, "config", "--quiet"]
    ended = subprocess.run(command, cwd=DIRECTORY, capture_output=True, encoding="utf-8", check=False)
    assert (ended.returncode == 0) is is_right, ended.stderr


def test_compose_gives_the_capabilities_that_the_tests_give():
    text = (DIRECTORY / "compose.yaml").read_text(encoding="utf-8")
    given, of_loader = re.findall(r"cap_add: \[(.*)\]", text)
    assert of_loader == "MAC_ADMIN"
    assert given.split(", ") == [*CAPABILITIES, "SYS_ADMIN"]


def test_seccomp_json_names_calls_that_there_are_and_none_that_must_not_be():
    profile = json.loads((DIRECTORY / "seccomp.json").read_text(encoding="utf-8"))
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    assert {rule["action"] for rule in profile["syscalls"]} == {"SCMP_ACT_ALLOW"}
    names = [name for rule in profile["syscalls"] for name in rule["names"]]
    seccomp = ctypes.CDLL("libseccomp.so.2")
    unknown = -1
    # These are newer than this library. An engine ignores calls that it does not know.
    newer = {"fchmodat2", "futex_requeue", "futex_wait", "futex_wake"}
    assert {name for name in names if seccomp.seccomp_syscall_resolve_name(name.encode()) == unknown} <= newer
    assert all(seccomp.seccomp_syscall_resolve_name(name.encode()) != unknown for name in NEVER)
    assert set(names) & set(NEVER) == set()
    # A call may be there twice only if the rules differ in its arguments.
    assert {name for name in names if names.count(name) > 1} == {"personality"}


def test_each_mode_has_a_line_in_the_document_and_no_other_has():
    text = (REPOSITORY / "docs/containers.md").read_text(encoding="utf-8")
    table = text[text.index("| mode | uid |") :].split("\n\n")[0].splitlines()[2:]
    assert [line.split(" |")[0].removeprefix("| ") for line in table] == [mode.name for mode in MODES]


def test_the_image_has_a_file_for_each_mode_and_no_other():
    files = {path.stem for path in (DIRECTORY / "config/layers").glob("*.toml")}
    assert files == {mode.config for mode in MODES}


def test_each_file_of_a_mode_requires_its_layers():
    for mode in MODES:
        text = (DIRECTORY / f"config/layers/{mode.config}.toml").read_text(encoding="utf-8")
        required = set(re.findall(r'^layers\.(\w+) = "require"$', text, re.MULTILINE))
        assert required == mode.all_layers, mode.name
        assert not required & ELSEWHERE
        assert required >= ALWAYS
