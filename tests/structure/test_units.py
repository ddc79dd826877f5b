"""The units for systemd: systemd knows every directive, and the hardened unit gives up all that it can."""

import re
import shutil
import subprocess

import pytest
from conftest import TREE

SYSTEMD = TREE / "deploy/systemd"
UNITS = ["codejail.service", "codejail@.service", "codejail.socket"]
BINARY = "/usr/lib/codejail/codejail"

# The highest exposure, in tenths of what `systemd-analyze security` prints (0 to 10). A service
# that makes sandboxes needs much that counts as exposure: root, CAP_SYS_ADMIN, mounts, namespaces.
EXPOSURE_MAX = {"codejail.service": 96, "codejail@.service": 96}
HARDENED_EXPOSURE_MAX = 52


@pytest.fixture
def units(tmp_path):
    """A directory with the units. They start /bin/true instead of the service."""
    for name in [*UNITS, "codejail@b.service.d/uids.conf"]:
        text = (SYSTEMD / name).read_text(encoding="utf-8")
        assert name.endswith(("socket", "conf")) or BINARY in text
        place = tmp_path / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(text.replace(BINARY, "/bin/true"), encoding="utf-8")
    return tmp_path


def analyze(units, *arguments):
    # The machine's own units count, too, for example those of sockets.target.
    return subprocess.run(
        ["systemd-analyze", *arguments],
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{units}:", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )


def complaints(units, name):
    done = analyze(units, "verify", "--man=no", "--recursive-errors=no", str(units / name))
    return done.stdout + done.stderr


def harden(units, name):
    directory = units / f"{name}.d"
    directory.mkdir(exist_ok=True)
    shutil.copy(SYSTEMD / "hardened.conf", directory)


@pytest.mark.parametrize("hardened", [False, True])
@pytest.mark.parametrize("name", [*UNITS, "codejail@b.service"])
def test_systemd_has_nothing_to_say_against_a_unit(units, name, hardened):
    if hardened and name.endswith(".service"):
        harden(units, name)
    if name == "codejail@b.service":
        (units / name).symlink_to(units / "codejail@.service")
    assert complaints(units, name) == ""


@pytest.mark.parametrize(("line", "word"), [("KillMod=mixed", "'KillMod'"), ("KillMode=mixd", "kill mode")])
def test_it_would_have_something_to_say_against_a_wrong_one(units, line, word):
    unit = units / "codejail.service"
    text = unit.read_text(encoding="utf-8")
    assert "KillMode=mixed" in text
    unit.write_text(text.replace("KillMode=mixed", line), encoding="utf-8")
    assert word in complaints(units, unit.name)


@pytest.mark.parametrize("name", EXPOSURE_MAX)
def test_a_unit_is_no_more_exposed_than_it_has_to_be(units, name):
    for most in [EXPOSURE_MAX[name], HARDENED_EXPOSURE_MAX]:
        done = analyze(units, "security", "--offline=true", "--no-pager", f"--threshold={most}", str(units / name))
        assert done.returncode == 0, done.stdout[-300:] + done.stderr
        harden(units, name)


def test_both_services_are_the_same_but_for_the_socket():
    alone, shared = (
        set((SYSTEMD / name).read_text(encoding="utf-8").splitlines())
        for name in ["codejail.service", "codejail@.service"]
    )
    more = {line for line in shared - alone if not re.match(r"#|Description=|After=", line)}
    assert more == {"Requires=codejail.socket", "Sockets=codejail.socket"}
    assert {line for line in alone - shared if not re.match(r"#|Description=|After=", line)} == set()


def test_the_two_ranges_of_uids_have_nothing_in_common_by_default():
    text = (SYSTEMD / "codejail@b.service.d/uids.conf").read_text(encoding="utf-8")
    other = int(re.search(r"^Environment=CODEJAIL_SANDBOX__UID_BASE=(\d+)$", text, re.MULTILINE)[1])
    defaults = (TREE / "supervisor/src/config/defaults.rs").read_text(encoding="utf-8")
    base = int(re.search(r"uid_base: ([\d_]+)", defaults)[1].replace("_", ""))
    # The widest range: 3 * 256 workers that exist at once, each with 805 uids, are 618,240 uids.
    assert other - base >= 1_000_000
