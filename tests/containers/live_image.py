"""The content of the image. See live_modes.py."""

import json
import re
import subprocess

from containers import IMAGE, REPOSITORY, container, docker
from modes import HARDENED, ROOT

MIB = 1 << 20
OWN_BYTES_MAX = 60 * MIB
# The size of the sandboxes' Python is printed, not bounded: its libraries need it.
OF_PYTHON = ("/sandbox", "/usr/local/lib ")


def layers():
    """Bytes and instruction of each layer above the base image."""
    lines = docker("history", "--no-trunc", "--human=false", "--format={{.Size}}\t{{.CreatedBy}}", IMAGE).splitlines()
    found = [(int(size), made) for size, made in (line.partition("\t")[::2] for line in lines)]
    base = next(number for number, (size, made) in enumerate(found) if not made.strip() and size)
    return found[:base]


def test_the_services_own_layers_are_small():
    python = [size for size, made in layers() if re.search(r" in (/sandbox|/usr/local/lib) ?$", made)]
    own = sum(size for size, _ in layers()) - sum(python)
    assert len(python) == 2
    print(f"the service's own layers: {own / MIB:.1f} MiB; the sandboxes' Python: {sum(python) / MIB:.0f} MiB")
    assert own <= OWN_BYTES_MAX


def test_no_id_of_a_file_is_beyond_what_user_namespaces_map():
    beyond = ["-uid", "+65533", "-o", "-gid", "+65533"]
    assert docker("run", "--rm", "--entrypoint=find", IMAGE, "/", "-xdev", "(", *beyond, ")") == ""


def test_structure():
    config = REPOSITORY / "deploy/docker/structure-test.yaml"
    command = ["container-structure-test", "test", "--image", IMAGE, "--config", config, "--output", "json"]
    ended = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300, check=False)
    report = json.loads(ended.stdout[ended.stdout.index("{") :])
    assert ended.returncode == 0 and report["Fail"] == 0 and report["Pass"] > 5, ended.stdout + ended.stderr


def test_labels_say_what_it_is():
    labels = json.loads(docker("inspect", "--format", "{{json .Config.Labels}}", IMAGE))
    version = re.search(r'^version = "(.*)"$', (REPOSITORY / "Cargo.toml").read_text(), re.MULTILINE)[1]
    assert labels["org.opencontainers.image.version"] == version
    assert re.fullmatch(r"[0-9a-f]{40}", labels["org.opencontainers.image.revision"])


def test_a_library_from_git_grades_sql_with_its_own_files():
    """An XBlock does this: with SQLite, and with a file of the package."""
    code = "import grader\nright = grader.grade('SELECT name FROM planet WHERE moons = 0 ORDER BY name')\ndel grader"
    with container(*ROOT, *HARDENED, image=f"{IMAGE}-extra") as service:
        service.health()
        assert service.execute(code) == {"globals_dict": {"right": [["Mercury"], ["Venus"]]}}


def test_check_finds_the_venv_whole():
    config = "--env=CODEJAIL_CONFIG=/etc/codejail/root.toml"
    printed = docker("run", "--rm", *ROOT, *HARDENED, config, IMAGE, "check", timeout=300)
    assert not re.search(r"^warning +(.*venv|.*compiled|python)", printed, re.MULTILINE), printed
    assert re.search(r"^preload +(\d+) of \1 modules", printed, re.MULTILINE), printed
