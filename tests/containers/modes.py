"""The modes of docs/containers.md: what a container is given, and the layers that come of it."""

from dataclasses import dataclass, field

SECCOMP = "deploy/docker/seccomp.json"

# What the image needs of any engine to run on a root that can't be written.
READ_ONLY = ["--read-only", "--tmpfs=/tmp:exec", "--tmpfs=/run"]
HARDENED = ["--security-opt=no-new-privileges", *READ_ONLY]
# docs/configuration.md says what each is for.
CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETPCAP", "SETUID"]
ROOT = ["--cap-drop=ALL", *(f"--cap-add={name}" for name in CAPABILITIES)]
ADMIN = [*ROOT, "--cap-add=SYS_ADMIN"]
NOBODY = ["--user=10001:10001", "--cap-drop=ALL"]

ALWAYS = frozenset({"landlock", "seccomp", "rlimits"})
# A kernel without AppArmor and a /sys/fs/cgroup that can't be written: what no mode has here.
ELSEWHERE = frozenset({"apparmor", "cgroup"})


@dataclass(frozen=True)
class Mode:
    """One way to run the image."""

    name: str
    # The file in /etc/codejail, whose layers the service requires.
    config: str
    # Of `docker run`.
    flags: list = field(default_factory=list)
    # Beside those that are always on.
    layers: frozenset = frozenset()
    # Whether containers' root is root, or an ordinary user of the host.
    remapped: bool = False
    # Whether the document recommends it: every denial of the groups of files, processes and network
    # holds.
    recommended: bool = False

    @property
    def all_layers(self):
        return self.layers | ALWAYS


UID, NAMESPACES, MOUNTS = "uid", "namespaces", "mounts"
FULL = frozenset({UID, NAMESPACES, MOUNTS})

MODES = [
    Mode("root, nothing else", "root", [], frozenset({UID})),
    Mode("root", "root", [*ROOT, *HARDENED], frozenset({UID})),
    Mode("root and SYS_ADMIN", "namespaces", [*ADMIN, *HARDENED], frozenset({UID, NAMESPACES})),
    Mode(
        "root, SYS_ADMIN and seccomp.json",
        "full",
        [*ADMIN, *HARDENED, f"--security-opt=seccomp={SECCOMP}"],
        FULL,
        recommended=True,
    ),
    Mode("user", "user", [*NOBODY, *HARDENED]),
    Mode(
        "user, seccomp.json and whole /proc",
        "user-full",
        [*NOBODY, *HARDENED, f"--security-opt=seccomp={SECCOMP}", "--security-opt=systempaths=unconfined"],
        frozenset({NAMESPACES, MOUNTS}),
        recommended=True,
    ),
    Mode("root of a user namespace", "root", [*ROOT, *HARDENED], frozenset({UID}), remapped=True),
    Mode(
        "root of a user namespace, SYS_ADMIN and seccomp.json",
        "full",
        [*ADMIN, *HARDENED, f"--security-opt=seccomp={SECCOMP}", "--security-opt=systempaths=unconfined"],
        FULL,
        remapped=True,
        recommended=True,
    ),
]
