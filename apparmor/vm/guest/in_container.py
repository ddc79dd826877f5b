#!/usr/bin/env python3
"""Runs its arguments in a container of Debian's runc.

The container has the settings that an engine gives to runc for the image's mode `full`.

    in_container.py PROGRAM ARGUMENT...

The container's root is the guest's own file system, which has the image's files at the same places.
The container shares the guest's network, so that the probes reach the service without further
settings, and the guest's /tmp, where the decoys are.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETPCAP", "SETUID", "SYS_ADMIN"]
PROFILE = "openedx_codejail_service"
BUNDLE = Path("/run/bundle")
# Docker's lists.
MASKED = ["acpi", "asound", "kcore", "keys", "latency_stats", "sched_debug", "scsi", "timer_list", "timer_stats"]
READ_ONLY = ["bus", "fs", "irq", "sys", "sysrq-trigger"]


def mount(destination, kind, *options, source=None):
    return {"destination": destination, "type": kind, "source": source or kind, "options": list(options)}


def seccomp():
    """The profile of deploy/docker/seccomp.json, in the format that runc reads."""
    profile = json.loads(Path("/payload/deploy/seccomp.json").read_text())
    machines = [
        machine for entry in profile.pop("archMap") for machine in (entry["architecture"], *entry["subArchitectures"])
    ]
    return {**profile, "architectures": machines}


def configuration(arguments):
    names = [f"CAP_{name}" for name in CAPABILITIES]
    safe = ["nosuid", "noexec", "nodev"]
    return {
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs", "readonly": True},
        "process": {
            "args": arguments,
            "cwd": "/",
            "env": [f"PATH={os.environ['PATH']}"],
            "user": {"uid": 0, "gid": 0},
            "capabilities": {kind: names for kind in ("bounding", "effective", "permitted")},
            "noNewPrivileges": True,
            "apparmorProfile": PROFILE,
        },
        "mounts": [
            mount("/proc", "proc", *safe),
            mount("/dev", "tmpfs", "nosuid", "mode=755"),
            mount("/dev/shm", "tmpfs", *safe, "mode=1777"),
            mount("/sys", "sysfs", *safe, "ro"),
            mount("/sys/fs/cgroup", "cgroup", *safe, "ro"),
            mount("/run", "tmpfs", "nosuid", "nodev", "mode=755"),
            mount("/tmp", "bind", "rbind", "rw", source="/tmp"),
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "cgroup")],
            "maskedPaths": [*(f"/proc/{name}" for name in MASKED), "/sys/firmware"],
            "readonlyPaths": [f"/proc/{name}" for name in READ_ONLY],
            "seccomp": seccomp(),
        },
    }


def main():
    root = BUNDLE / "rootfs"
    root.mkdir(parents=True, exist_ok=True)
    if not os.path.ismount(root):
        subprocess.run(["mount", "--bind", "/", root], check=True)
    (BUNDLE / "config.json").write_text(json.dumps(configuration(sys.argv[1:])))
    os.execvp("runc", ["runc", "run", "--bundle", str(BUNDLE), "codejail"])


main()
