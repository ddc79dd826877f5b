"""The probes of api_tests against a container, with decoys in it."""

import json
import os
import re
import subprocess
from contextlib import contextmanager
from pathlib import Path

from containers import REPOSITORY, docker, wait_until

API_TESTS = Path(os.environ.get("CODEJAIL_BIN", REPOSITORY / "target/release/codejail")).with_name("codejail-api-tests")
# The limits of the image's configuration (deploy/docker/config/codejail.toml).
LIMITS = {"CPU": 3, "REALTIME": 3, "VMEM": 536870912, "FSIZE": 10485760}
# Only the layer `mounts` bounds these.
SPACE = {"SPACE": 67108864, "INODES": 16384}
SECONDS_MAX = 600


@contextmanager
def decoys(container, directory):
    """Makes files, a process and listeners in the container, as its user. Returns the file that describes them."""
    user = [] if container.state(".Config.User") else ["--uid=10001"]
    docker("exec", "--detach", container.name, "codejail-api-tests", "decoys", "--dir=/tmp/decoys", *user)
    described = wait_until(
        lambda: docker("exec", container.name, "cat", "/tmp/decoys/decoys.json", check=False), container.log
    )
    file = directory / "decoys.json"
    file.write_text(described, encoding="utf-8")
    yield file


def run_probes(container, directory, layers):
    """The report on each probe, and the printed text."""
    threads = re.search(r"NPROC=(\d+)", container.log())[1]
    limits = LIMITS | {"NPROC": threads} | (SPACE if "mounts" in layers else {})
    report = directory / "probes.json"
    with decoys(container, directory) as file:
        ended = subprocess.run(
            [
                API_TESTS,
                f"--base-url={container.address}",
                f"--decoys={file}",
                "--jobs=2",
                f"--json={report}",
                *(f"--limit={name}={number}" for name, number in limits.items()),
            ],
            capture_output=True,
            encoding="utf-8",
            timeout=SECONDS_MAX,
            check=False,
        )
    assert ended.returncode in (0, 1), ended.stdout + ended.stderr
    return json.loads(report.read_text(encoding="utf-8")), ended.stdout
