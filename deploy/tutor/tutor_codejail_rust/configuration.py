"""Keys of config.yml: their defaults, and the keys of other plugins and versions that have no effect here."""

import re

from tutor import fmt
from tutor.exceptions import TutorError
from tutor.types import get_typed

from . import __version__

IMAGES = {"DOCKER_IMAGE": f"codejail:{__version__}", "APPARMOR_DOCKER_IMAGE": f"codejail-apparmor:{__version__}"}

# As tutor-contrib-codejail has them.
SHARED = {
    **IMAGES,
    "ENABLE_K8S_DAEMONSET": False,
    "EXTRA_PIP_REQUIREMENTS": [],
    "SANDBOX_PYTHON_VERSION": "3.12",
    "SERVICE_REPOSITORY": "https://github.com/openedx/codejail-service.git",
    "SERVICE_VERSION": "{{ OPENEDX_COMMON_VERSION }}",
    "VERSION": __version__,
}

OWN = {
    "WORKERS": 2,
    "SANDBOXES_PER_WORKER": 1,
    # None: the list of the image's own configuration. A list here replaces that list.
    "PRELOAD": None,
    "LOG_FORMAT": "text",
    # A port for metrics and the page alone. With 0 there is no such port, and /metrics is on the
    # API's port.
    "METRICS_PORT": 9091,
    # The namespace from which that port can be reached.
    "METRICS_NAMESPACE": "monitoring",
    # With it every layer is on.
    "MODE": "full",
    "APPARMOR": "require",
    # In Kubernetes: the file of a seccomp profile on each node. Without it the container has no
    # seccomp profile, which is also Kubernetes' default.
    "SECCOMP_LOCALHOST_PROFILE": "",
    "REPLICAS": 1,
    "CPU_REQUEST": "500m",
    "MEMORY_REQUEST": "1Gi",
    "MEMORY_LIMIT": "3Gi",
    # Any other key of docs/configuration.md: {"log.level": "warn"}.
    "SETTINGS": {},
}

_SWITCH = "use CODEJAIL_APPARMOR: off where the kernel has no AppArmor"
_AUTOSCALING = "tutor-contrib-pod-autoscaling scales the deployment"
_RESOURCES = "the new names are CODEJAIL_CPU_REQUEST, CODEJAIL_MEMORY_REQUEST and CODEJAIL_MEMORY_LIMIT"
_ADDRESS = "the service is codejail:8000, and the LMS's settings say so"
_ONE_SERVICE = "there is one service"
DEAD = {
    "ENFORCE_APPARMOR": _SWITCH,
    "SKIP_INIT": "there is nothing to initialise",
    "HOST": _ADDRESS,
    "DOCKER_IMAGE_V2": _ONE_SERVICE,
    "USE_SERVICE_V2": _ONE_SERVICE,
    "SERVICE_V2_REPOSITORY": _ONE_SERVICE,
    "SERVICE_V2_VERSION": _ONE_SERVICE,
    "LIMIT_CPU": _RESOURCES,
    "LIMIT_MEMORY": _RESOURCES,
    "REQUEST_CPU": _RESOURCES,
    "REQUEST_MEMORY": _RESOURCES,
    "ENABLE_HPA": _AUTOSCALING,
    "MIN_REPLICAS": _AUTOSCALING,
    "MAX_REPLICAS": _AUTOSCALING,
    "AVG_CPU": _AUTOSCALING,
}

# Images of the other plugin, which hold another service.
OTHER_IMAGES = "ednxops/"
# The service of the other plugin's older releases. It has no list of libraries.
OTHER_SERVICE = "edunext/codejailservice"

MODES = ("root", "namespaces", "full", "user", "user-full")
CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETPCAP", "SETUID"]
# Of the image's user `app`.
APP_UID = 10001


def image(name, configured):
    """The image to use: what is configured, unless that is one of the other plugin's."""
    return IMAGES[name] if OTHER_IMAGES in str(configured) else configured


def is_elsewhere(tag):
    """Whether an image's name has a registry or an account, from which it could be pulled."""
    return "/" in tag


def python_version(configured):
    """Major and minor number. Older configurations have a patch level, too."""
    match = re.fullmatch(r"(3)\.(\d+)(\.\d+)?", str(configured))
    if match is None or int(match[2]) < 8:
        raise TutorError(
            f"CODEJAIL_SANDBOX_PYTHON_VERSION is {configured}: it must be 3.8 or newer, such as 3.12. "
            "Type: tutor config save --set CODEJAIL_SANDBOX_PYTHON_VERSION=3.12"
        )
    return f"{match[1]}.{match[2]}"


def requirements(configured):
    """pip's requirements, as a list. Some configurations have them in one text, with commas."""
    if isinstance(configured, str):
        configured = [text.strip() for text in configured.split(",")]
    return [str(requirement) for requirement in configured or [] if str(requirement)]


def mode(configured):
    """The mode of the container: docs/containers.md."""
    if configured not in MODES:
        raise TutorError(f"CODEJAIL_MODE is {configured}: it must be one of {', '.join(MODES)}")
    return configured


def capabilities(configured):
    """What a container of this mode needs."""
    if mode(configured).startswith("user"):
        return []
    return CAPABILITIES + ([] if configured == "root" else ["SYS_ADMIN"])


def has_apparmor(configured):
    """Whether the profile is applied."""
    # YAML reads `off` as false.
    if configured in ("off", False):
        return False
    if configured == "require":
        return True
    raise TutorError(f"CODEJAIL_APPARMOR is {configured}: it must be require or off")


UNITS = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def memory_bytes(configured):
    """Bytes, of a quantity as Kubernetes writes it."""
    match = re.fullmatch(r"(\d+)(|k|M|G|Ki|Mi|Gi)", str(configured))
    if match is None:
        raise TutorError(f"CODEJAIL_MEMORY_LIMIT is {configured}: it must be such as 3Gi or 1500Mi")
    return int(match[1]) * UNITS[match[2]]


def notes(config):
    """A line for each key of this configuration that has no effect, or whose value is replaced."""
    for name, why in DEAD.items():
        if f"CODEJAIL_{name}" in config:
            yield f"CODEJAIL_{name} has no effect: {why}"
    for name, own in IMAGES.items():
        configured = config.get(f"CODEJAIL_{name}", "")
        if image(name, configured) != configured:
            yield f"CODEJAIL_{name} is an image of tutor-contrib-codejail: {own} is used instead"
    if OTHER_SERVICE in get_typed(config, "CODEJAIL_SERVICE_REPOSITORY", str, "").lower():
        yield "CODEJAIL_SERVICE_REPOSITORY is not the source of the libraries' list: the LMS's own list is used"


def tell(config):
    for note in notes(config):
        fmt.echo_alert(f"codejail: {note}")
