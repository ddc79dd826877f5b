"""deploy/docker/compose.yaml with Debian's docker-compose. See live_modes.py.

This kernel has no AppArmor, so the loader can't load the profile.
"""

import json
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from containers import REPOSITORY, Container, docker, wait_until
from modes import FULL
from outside import a_host_outside, asked_from

HAS_APPARMOR = Path("/sys/module/apparmor/parameters/enabled").exists()
DIRECTORY = REPOSITORY / "deploy/docker"
PROJECT = "codejail-test"


def compose(*arguments, check=True, **environment):
    ended = subprocess.run(
        ["docker-compose", "--project-name", PROJECT, *arguments],
        cwd=DIRECTORY,
        env={**os.environ, **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=180,
        check=False,
    )
    assert not check or ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@contextmanager
def up(**environment):
    """Starts the project. Returns the container of the service."""
    try:
        compose("up", "--detach", **environment)
        yield Container(compose("ps", "--quiet", "codejail").strip())
    finally:
        compose("down", "--volumes", "--timeout", "20", **environment)


@pytest.mark.skipif(HAS_APPARMOR, reason="this kernel may have AppArmor")
def test_without_apparmor_the_loader_says_so_and_the_service_refuses():
    with up() as service:
        log = compose("logs", "--no-color", "codejail-apparmor-loader")
        assert "this kernel enforces no AppArmor: no profile is loaded" in log
        loader = docker("ps", "--all", "--quiet", "--filter=name=codejail-apparmor-loader")
        assert Container(loader).state(".State.ExitCode") == "0"
        wait_until(lambda: "layers.apparmor is required" in service.log(), service.log)
        # The engine starts it again and again, and it never serves.
        wait_until(lambda: int(service.state(".RestartCount")) > 0, service.log)
        assert "service_serving" not in service.log()


def test_allowed_to_be_without_apparmor_it_has_every_other_layer_and_no_way_out():
    with up(CODEJAIL_APPARMOR="auto") as service:
        assert service.layers() >= FULL
        assert service.execute("x = 1 + 1") == {"globals_dict": {"x": 2}}
        wait_until(lambda: service.state(".State.Health.Status") == "healthy", service.log, 120)
        # From another container of the network, as the LMS would.
        ask = "import urllib.request as u; print(u.urlopen('http://codejail:8080/readyz', timeout=10).status)"
        entry = ["--entrypoint=/sandbox/venv/bin/python", "codejail", "-c", ask]
        assert docker("run", "--rm", "--network=codejail", *entry) == "200"
        # No port leads in, and nothing leads out. From the engine's own bridge a way leads out.
        with a_host_outside():
            assert asked_from("bridge") == "reached"
            assert asked_from("codejail").startswith("not reached")
        assert not any(json.loads(service.state("json .NetworkSettings.Ports")).values())


def test_its_bounds_are_those_of_the_file():
    with up(CODEJAIL_APPARMOR="auto") as service:
        service.health()
        host = json.loads(service.state("json .HostConfig"))
        assert (host["Memory"], host["PidsLimit"], host["ReadonlyRootfs"]) == (3 << 30, 1024, True)
        assert host["CapDrop"] == ["ALL"] and "no-new-privileges" in host["SecurityOpt"]
        answer = service.execute("x = len(bytearray(1 << 30))")
        assert "MemoryError" in answer["emsg"]
