"""Starts `codejail serve` the way `make run` does, and ends it."""

import os
import queue
import re
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import requests

REPOSITORY = Path(__file__).parents[1]
CODEJAIL = os.environ.get("CODEJAIL_BIN", REPOSITORY / "target/release/codejail")
SANDBOX_PYTHON = os.environ.get("CODEJAIL_SANDBOX_PYTHON", "/sandbox/venv/bin/python")

# Other uids than those of `make run`, which may run on the same host. Services that run side by
# side have a range each.
UID_BASE = 349_690_000
UID_COUNT = 10_000

# A worker imports every library before it is healthy, which is slow on CI machines.
STARTUP_SECONDS_MAX = 90
# The service gives executions that run 30 s to end.
STOP_SECONDS_MAX = 40
# Workers and sandboxes are killed with the service; the kernel takes a moment for that.
LAST_PROCESS_SECONDS_MAX = 5


class Log:
    """The lines that the service writes to stdout and stderr."""

    def __init__(self, stream):
        self.lines = []
        self._news = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, args=[stream], daemon=True)
        self._reader.start()

    def _read(self, stream):
        with stream:
            for line in stream:
                self.lines.append(line)
                self._news.put(line)
        self._news.put(None)

    def has_ended(self, seconds_max):
        """Whether no process is left that could write to the log."""
        self._reader.join(seconds_max)
        return not self._reader.is_alive()

    def wait_for(self, pattern, deadline):
        """The first match of `pattern` in lines that were not looked at before."""
        while True:
            try:
                line = self._news.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line with {pattern!r} in:\n{self}") from None
            if line is None:
                raise AssertionError(f"ended without a line with {pattern!r}:\n{self}")
            if match := re.search(pattern, line):
                return match

    def __str__(self):
        return "".join(self.lines[-200:])


def development_configuration(uid_base=UID_BASE, python=SANDBOX_PYTHON):
    """The configuration of `make run`, with a port of its own."""
    command = [REPOSITORY / "scripts/dev-config.sh", python, "127.0.0.1:0", str(uid_base)]
    return subprocess.check_output(command, encoding="utf-8")


@contextmanager
def running_service(directory, configuration=None, uid_base=UID_BASE):
    """Yields the address of a healthy service, and its log. `configuration` is TOML, by default the
    developer's; its uids begin at `uid_base`.
    """
    config = directory / "codejail.toml"
    config.write_text(configuration or development_configuration(uid_base), encoding="utf-8")
    directories_before = run_directories(uid_base)
    process = subprocess.Popen(
        [CODEJAIL, "serve", "--config", config],
        # Set as operators of the original set it, so that a leak is seen.
        env={**os.environ, "CJS_TEST_ENV_LEAKAGE": "yes"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    log = Log(process.stdout)
    try:
        deadline = time.monotonic() + STARTUP_SECONDS_MAX
        address = log.wait_for(r"listening on (127\.0\.0\.1:\d+)", deadline)[1]
        wait_until_healthy(process, address, log, deadline)
        yield f"http://{address}", log
    finally:
        status = stop(process)
    assert status == 0, f"ended with status {status}:\n{log}"
    assert log.has_ended(LAST_PROCESS_SECONDS_MAX), f"a process outlived the service:\n{log}"
    left_over = run_directories(uid_base) - directories_before
    assert not left_over, f"left behind {left_over}:\n{log}"


def wait_until_healthy(process, address, log, deadline):
    answer = "nothing"
    while time.monotonic() < deadline:
        try:
            response = requests.get(f"http://{address}/health/", timeout=5)
        except requests.RequestException as error:
            answer = repr(error)
        else:
            if response.status_code == 200:
                return
            answer = response.text
        try:
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"ended with status {process.returncode}:\n{log}")
    raise AssertionError(f"/health/ answered {answer}:\n{log}")


def stop(process):
    """Ends the service by SIGTERM, or by SIGKILL if that does not suffice. Returns its exit status."""
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(timeout=STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def run_directories(uid_base):
    """The directories of runs that a service with these uids can have made."""
    if os.geteuid() == 0:
        owners = range(uid_base - 1, uid_base + UID_COUNT)
    else:
        owners = [os.geteuid()]
    found = set()
    for path in Path("/tmp").glob("codejail-*"):
        try:
            owner = path.stat().st_uid
        except FileNotFoundError:
            continue
        if owner in owners:
            found.add(path)
    return found
