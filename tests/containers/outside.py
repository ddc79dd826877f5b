"""A host outside of the engine's host, made by the tests. A container must not reach it over an internal network."""

import subprocess
import sys
from contextlib import contextmanager

from containers import docker, wait_until

ADDRESS, ROUTER, PORT = "198.51.100.2", "198.51.100.1", 8000
ASK = f"""
import socket
try:
    socket.create_connection(({ADDRESS!r}, {PORT}), timeout=3).close()
    print("reached")
except OSError as error:
    print("not reached:", error)
"""


def ip(*arguments, check=True):
    subprocess.run(["ip", *arguments], check=check, stderr=None if check else subprocess.DEVNULL)


@contextmanager
def a_host_outside():
    """A host to which the engine's host routes, with a server. It ends with its process."""
    serve = f"import socket; s = socket.create_server(({ADDRESS!r}, {PORT}))\nwhile True: s.accept()[0].close()"
    # The network exists before it has an address, so the server is started later.
    waiting = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE)
    inside = ["nsenter", f"--target={waiting.pid}", "--net"]
    server = None
    try:
        wait_until(lambda: has_its_own_network(waiting.pid), "a network of its own")
        ip("link", "add", "outside", "type", "veth", "peer", "name", "uplink", "netns", str(waiting.pid))
        ip("address", "add", f"{ROUTER}/24", "dev", "outside")
        ip("link", "set", "outside", "up")
        for arguments in (
            ["address", "add", f"{ADDRESS}/24", "dev", "uplink"],
            ["link", "set", "uplink", "up"],
            ["route", "add", "default", "via", ROUTER],
        ):
            subprocess.run([*inside, "ip", *arguments], check=True)
        server = subprocess.Popen([*inside, sys.executable, "-c", serve])
        yield
    finally:
        for process in (server, waiting):
            if process:
                process.kill()
                process.wait()
        ip("link", "delete", "outside", check=False)


def has_its_own_network(pid):
    def network(of):
        return subprocess.check_output(["readlink", f"/proc/{of}/ns/net"])

    return network(pid) != network("self")


def asked_from(network):
    """The answer that a container on this network gets from the host outside."""
    entry = ["--entrypoint=/sandbox/venv/bin/python", "codejail", "-c", ASK]
    return docker("run", "--rm", f"--network={network}", *entry)
