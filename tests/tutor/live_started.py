"""Starts with a real engine what Tutor renders for `tutor local`. The real client grades problems through it.

This kernel has no AppArmor, so a service that should run has no profile.
"""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from rendered import REPOSITORY, run

sys.path.append(str(REPOSITORY / "tests/containers"))
from containers import Container, docker, wait_until

HAS_APPARMOR = Path("/sys/module/apparmor/parameters/enabled").exists()
HEALTHY_SECONDS_MAX = 150
CLIENT = [
    "tests/client/test_loncapa_problem.py",
    "tests/client/test_failing_problem.py",
    "tests/client/test_safe_exec.py",
]


@pytest.fixture(scope="module", autouse=True)
def images():
    """The images, under the names that the plugin gives them."""
    for name in ("codejail", "codejail-apparmor"):
        docker("tag", name, f"{name}:0.1.0")


def compose(environment, *arguments, check=True):
    # Version 1 looks for the seccomp profile in the directory that it is started in.
    directory = environment.env / "local"
    command = ["docker-compose", "--project-name", "tutor-test", "--file", "docker-compose.yml", *arguments]
    done = run(*command, cwd=directory, timeout=180)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@contextmanager
def started(environment):
    """Starts the service codejail, and waits until it is healthy. Returns it with the address of its API."""
    try:
        compose(environment, "up", "--detach", "codejail")
        service = Container(compose(environment, "ps", "--quiet", "codejail").stdout.strip())
        wait_until(lambda: service.state(".State.Health.Status") == "healthy", service.log, HEALTHY_SECONDS_MAX)
        (network,) = json.loads(service.state("json .NetworkSettings.Networks")).values()
        yield service, f"http://{network['IPAddress']}:8000"
    finally:
        compose(environment, "down", "--volumes", "--timeout", "20")


def test_the_real_client_grades_problems_through_it(rendered):
    environment = rendered("22", CODEJAIL_APPARMOR="off")
    with started(environment) as (service, address):
        health = requests.get(f"{address}/health/", timeout=5).json()
        assert {layer["layer"] for layer in health["layers"] if layer["on"]} >= {"uid", "namespaces", "mounts"}
        client = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *CLIENT],
            cwd=REPOSITORY,
            env={**os.environ, "CODEJAIL_TEST_SERVICE": address},
            capture_output=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
        assert client.returncode == 0, client.stdout[-4000:] + client.stderr[-2000:] + service.log()[-2000:]
        assert "passed" in client.stdout
        # From a container of Tutor's network, and by the name in the LMS's settings.
        names = environment.yaml("apps/openedx/config/lms.env.yml")
        ask = f"import urllib.request as u; print(u.urlopen('{names['CODE_JAIL_REST_SERVICE_HOST']}/readyz').status)"
        network = next(iter(json.loads(service.state("json .NetworkSettings.Networks"))))
        entry = ["--entrypoint=/sandbox/venv/bin/python", "codejail", "-c", ask]
        assert docker("run", "--rm", f"--network={network}", *entry) == "200"


def test_an_operator_s_patches_are_limits_of_executions(rendered):
    with started(rendered("21", "21", CODEJAIL_APPARMOR="off")) as (service, _):
        config = service.run_inside("codejail", "serve", "--print-config")
        assert "REALTIME = 6.0  # /config/codejail.yml, CODE_JAIL.limits.REALTIME" in config
        assert "FSIZE = 52428800" in config


@pytest.mark.skipif(HAS_APPARMOR, reason="this kernel may have AppArmor")
def test_where_the_profile_can_not_be_loaded_nothing_is_started(rendered):
    environment = rendered("22")
    try:
        done = compose(environment, "up", "--detach", "codejail", check=False)
        assert done.returncode != 0 and "codejail-apparmor-loader" in done.stdout + done.stderr
        names = docker("ps", "--all", "--format", "{{.Names}} {{.Status}}")
        service = [line for line in names.splitlines() if "loader" not in line]
        assert not any(" Up " in line for line in service), names
    finally:
        compose(environment, "down", "--volumes", "--timeout", "20")
