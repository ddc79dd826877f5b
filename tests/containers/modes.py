"""The modes of docs/containers.md: the flags of a container, and the layers that it has with them."""

from dataclasses import dataclass, field

SECCOMP = "deploy/docker/seccomp.json"

# The image needs this from any engine to run on a root that can't be written.
READ_ONLY = ["--read-only", "--tmpfs=/tmp:exec", "--tmpfs=/run"]
HARDENED = ["--security-opt=no-new-privileges", *READ_ONLY]
# docs/configuration.md says what each capability is for.
CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETPCAP", "SETUID"]
ROOT = ["--cap-drop=ALL", *(f"--cap-add={name}" for name in CAPABILITIES)]
ADMIN = [*ROOT, "--cap-add=SYS_ADMIN"]
NOBODY = ["--user=10001:10001", "--cap-drop=ALL"]

ALWAYS = frozenset({"landlock", "seccomp", "rlimits"})
# No mode has these here: the kernel has no AppArmor, and /sys/fs/cgroup can't be written.
ELSEWHERE = frozenset({"apparmor", "cgroup"})


@dataclass(frozen=True)
class Mode:
    """One way to run the image."""

    name: str
    # The file in /etc/codejail. The service requires the layers that it names.
    config: str
    # Flags of `docker run`.
    flags: list = field(default_factory=list)
    # Layers in addition to those that are always on.
    layers: frozenset = frozenset()
    # Whether root of the container is root of the host, or an ordinary user there.
    remapped: bool = False
    # Whether the document recommends the mode: every attack of the groups files, processes and
    # network is denied.
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
