"""The service's settings: the original's, which operators' patches in Python change, and codejail's own."""

import json
import textwrap

import yaml
from tutor.exceptions import TutorError

from . import clone, configuration
from .django_settings import class_settings, execute, original_settings, plain

try:
    import tomllib
except ImportError:  # before Python 3.11
    import tomli as tomllib

PATCHES = ("codejail-common-settings", "codejail-production-settings")
CONFIG_DIRECTORY = "/config"

# What patches find, with the values that tutor-contrib-codejail's settings have.
LIMITS = {"CPU": 3, "REALTIME": 3, "VMEM": 512 << 20, "FSIZE": 10 << 20, "NPROC": 15, "PROXY": 0}


def before_patches():
    code_jail = {"python_bin": "/sandbox/venv/bin/python", "user": "sandbox", "limits": dict(LIMITS)}
    settings = {"CODEJAIL_ENABLED": True, "CODE_JAIL": code_jail, "ALLOWED_HOSTS": ["codejail", "localhost"]}
    # Patches of Tutor 19 to 21 stood in classes, and some name them.
    classes = class_settings()
    classes["BaseConfig"].CODE_JAIL = code_jail
    return {"__name__": "codejail_service.settings.tutor", **original_settings(), **classes, **settings}


def patched(text):
    """What the settings are when patches have been executed, one after the other."""
    namespace = before_patches()
    try:
        execute(textwrap.dedent(text), "codejail's settings patches", namespace)
    except Exception as error:
        raise TutorError(f"patches {' and '.join(PATCHES)}: {type(error).__name__}: {error}") from error
    names = {"CODEJAIL_ENABLED", "CODE_JAIL"}
    names |= {name for name in namespace if name.isupper() and name not in before_patches()}
    return {name: plain(namespace[name]) for name in sorted(names)}


def to_yaml(text):
    """The file that CODEJAIL_SERVICE_CFG names, of the patches' text."""
    return yaml.safe_dump(patched(text), default_flow_style=False, sort_keys=True)


def by_key(text):
    """Values of a configuration in TOML, by key."""
    settings = {}
    for name, value in tomllib.loads(text).items():
        settings |= {f"{name}.{key}": item for key, item in value.items()} if isinstance(value, dict) else {name: value}
    return settings


def of_image(mode):
    """What the image's own configuration of this mode has, without what follows from the patches."""
    settings = by_key(clone.text("codejail.toml")) | by_key(clone.text(f"layers/{mode}.toml"))
    return {key: value for key, value in settings.items() if key != "enabled" and not key.startswith("limits.")}


def own(config):
    """codejail's own settings, by key."""

    def value(name):
        return config[f"CODEJAIL_{name}"]

    settings = of_image(configuration.mode(value("MODE"))) | {
        "bind": "0.0.0.0:8000",
        "workers": value("WORKERS"),
        "sandboxes_per_worker": value("SANDBOXES_PER_WORKER"),
        "log.format": value("LOG_FORMAT"),
    }
    if value("PRELOAD") is not None:
        settings["python.preload"] = configuration.requirements(value("PRELOAD"))
    if value("METRICS_PORT"):
        settings["metrics.bind"] = f"0.0.0.0:{value('METRICS_PORT')}"
        settings["metrics.on_api_address"] = False
    if configuration.has_apparmor(value("APPARMOR")):
        settings["layers.apparmor"] = "require"
    return settings | (value("SETTINGS") or {})


def to_toml(config):
    """The file that CODEJAIL_CONFIG names. JSON's numbers, texts, lists and truth values are TOML's, too."""
    lines = [f"{key} = {json.dumps(plain(value))}\n" for key, value in own(config).items()]
    return "".join(lines)
