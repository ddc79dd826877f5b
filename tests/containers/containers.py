"""Containers of the image under test. The engine is the one that DOCKER_HOST names (engine.sh)."""

import json
import subprocess
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

import requests

REPOSITORY = Path(__file__).parents[2]
IMAGE = "codejail"
# A worker imports every library before it is healthy, and the machine has other work, too.
HEALTHY_SECONDS_MAX = 120
STATE_SECONDS_MAX = 30


def docker(*arguments, check=True, timeout=120):
    """The standard output of a `docker` command."""
    ended = subprocess.run(
        ["docker", *arguments], capture_output=True, encoding="utf-8", timeout=timeout, cwd=REPOSITORY, check=False
    )
    assert not check or ended.returncode == 0, f"docker {arguments}: {ended.stderr}"
    return ended.stdout.strip()


def wait_until(is_so, what, seconds_max=STATE_SECONDS_MAX):
    """Asks until the answer is true, and returns it."""
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline:
        if answer := is_so():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"not in {seconds_max} s: {what() if callable(what) else what}")


class Container:
    """A container that was started."""

    def __init__(self, name):
        self.name = name

    def state(self, template):
        return docker("inspect", "--format", "{{" + template + "}}", self.name)

    @property
    def is_running(self):
        return self.state(".State.Running") == "true"

    @property
    def address(self):
        """The address of the API, on the container's network."""
        networks = json.loads(self.state("json .NetworkSettings.Networks"))
        (network,) = networks.values()
        return f"http://{network['IPAddress']}:8080"

    def log(self):
        command = ["docker", "logs", self.name]
        return subprocess.check_output(command, stderr=subprocess.STDOUT, encoding="utf-8")

    def run_inside(self, *command, user=None):
        return docker("exec", *([f"--user={user}"] if user else []), self.name, *command)

    def get(self, path):
        return requests.get(self.address + path, timeout=10)

    def health(self):
        """The body of /health/, when it says that it is safe to execute."""

        def answer():
            assert self.is_running, f"ended with {self.state('.State.ExitCode')}:\n{self.log()}"
            try:
                response = self.get("/health/")
            except (requests.RequestException, ValueError):
                return None
            return response.json() if response.status_code == 200 else None

        return wait_until(answer, self.log, HEALTHY_SECONDS_MAX)

    def layers(self):
        """The names of the layers that are on."""
        return {layer["layer"] for layer in self.health()["layers"] if layer["on"]}

    def execute(self, code, **more):
        payload = json.dumps({"code": code, "globals_dict": {}, **more})
        response = requests.post(f"{self.address}/api/v0/code-exec", data={"payload": payload}, timeout=60)
        assert response.status_code == 200, response.text
        return response.json()

    def wait_for_end(self, seconds_max=STATE_SECONDS_MAX):
        """Waits for the container's end. Returns its exit status."""
        wait_until(lambda: not self.is_running, self.log, seconds_max)
        return int(self.state(".State.ExitCode"))


@contextmanager
def container(*flags, config="root", image=IMAGE, command=()):
    """A container with these flags of `docker run`. At the end it is removed with its volumes."""
    name = f"codejail-test-{uuid.uuid4().hex[:12]}"
    environment = [f"--env=CODEJAIL_CONFIG=/etc/codejail/{config}.toml", "--env=CODEJAIL_ENABLED=true"]
    docker("run", "--detach", f"--name={name}", *environment, *flags, image, *command)
    try:
        yield Container(name)
    finally:
        docker("rm", "--force", "--volumes", name)
