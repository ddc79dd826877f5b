"""Environments that Tutor renders in a directory of the test, and what they say of codejail."""

import os
import re
import shutil
import subprocess
from functools import cached_property
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[2]
TOOLS = Path(os.environ.get("CODEJAIL_TEST_TUTOR", REPOSITORY / "target/tutor"))
OPERATORS = Path(__file__).parent / "operators"
RELEASES = ("19", "20", "21", "22")
THEIRS = "theirs"
KUBECTL = shutil.which("kubectl") or TOOLS / "kubectl/kubectl"
SECONDS_MAX = 120


def operator(release):
    """The settings of an operator of this release: configuration, patches, and their expected result."""
    return yaml.safe_load((OPERATORS / f"{release}.yml").read_text(encoding="utf-8"))


def run(*command, **options):
    options = {"capture_output": True, "text": True, "timeout": SECONDS_MAX, "check": False} | options
    return subprocess.run([*map(str, command)], **options)


def tutor(venv, root, *arguments):
    """Runs Tutor with a root and a directory of plugins of the test's own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TUTOR_", "CODEJAIL_"))}
    environment |= {"TUTOR_ROOT": str(root), "TUTOR_PLUGINS_ROOT": str(root / "own"), "HOME": str(root)}
    return run(TOOLS / venv / "bin/tutor", *arguments, env=environment)


def named(value):
    """Makes a mapping by name of a list of things that have names."""
    if isinstance(value, list) and value and all(isinstance(item, dict) and "name" in item for item in value):
        return {item["name"]: item for item in value}
    return value


def flat(value, path=""):
    """Each leaf with its path, without Kustomize's hashes, which change with the content of a ConfigMap."""
    value = named(value)
    if isinstance(value, dict) and value:
        return {key: leaf for name, item in value.items() for key, leaf in flat(item, f"{path}.{name}").items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {key: leaf for index, item in enumerate(value) for key, leaf in flat(item, f"{path}.{index}").items()}
    if isinstance(value, str):
        value = re.sub(r"^(codejail-\w+)-[a-z0-9]{10}$", r"\1", value)
    return {path.lstrip("."): value}


class Environment:
    """What `tutor config save` has rendered for a configuration."""

    def __init__(self, venv, root, config=None, patches=None):
        self.venv, self.root = venv, root
        (root / "own").mkdir(parents=True)
        (root / "config.yml").write_text(yaml.safe_dump(config or {"PLUGINS": ["codejail"]}), encoding="utf-8")
        if patches:
            plugin = {"name": "operator", "version": "1", "patches": patches}
            (root / "own/operator.yml").write_text(yaml.safe_dump(plugin), encoding="utf-8")
        self.saved = tutor(venv, root, "config", "save")

    @property
    def env(self):
        return self.root / "env"

    def text(self, *path):
        return self.env.joinpath(*path).read_text(encoding="utf-8")

    def yaml(self, *path):
        return yaml.safe_load(self.text(*path))

    @property
    def notes(self):
        """The keys about which the plugin has said something."""
        return re.findall(r"codejail: (CODEJAIL_\w+) ", self.saved.stderr + self.saved.stdout)

    def services(self, context):
        """The services of a compose file that concern codejail."""
        services = self.yaml(context, "docker-compose.yml").get("services") or {}
        return {name: service for name, service in services.items() if name.startswith("codejail")}

    @cached_property
    def kustomized(self):
        built = run(KUBECTL, "kustomize", self.env)
        assert built.returncode == 0, built.stderr
        return built.stdout

    def objects(self):
        """The objects of Kubernetes that concern codejail, by kind and name."""
        every = [item for item in yaml.safe_load_all(self.kustomized) if item]
        return {
            f"{item['kind']} {re.sub('-[a-z0-9]{10}$', '', item['metadata']['name'])}": item
            for item in every
            if item["metadata"]["name"].startswith("codejail")
        }

    def facts(self):
        """Each field on which others may rely, by a path that begins with its place."""
        found = {}
        for context in ("local", "dev"):
            found |= flat(self.services(context), f"{context}: ")
        for name, item in self.objects().items():
            item = {key: value for key, value in item.items() if key not in ("apiVersion", "kind")}
            if name.startswith("ConfigMap"):
                item["data"] = sorted(item["data"])
            item["metadata"] = {"labels": item["metadata"].get("labels", {})}
            found |= flat(item, f"k8s: {name}")
        for side in ("lms", "cms"):
            names = self.yaml("apps/openedx/config", f"{side}.env.yml")
            found |= {f"{side}: {name}": value for name, value in names.items() if "CODE" in name and "JAIL" in name}
        for directory in ("build", "apps"):
            files = sorted(path for path in (self.env / "plugins/codejail" / directory).rglob("*") if path.is_file())
            found |= {f"file: {path.relative_to(self.env)}": "there" for path in files}
        return {re.sub(r": \.", ": ", key): value for key, value in found.items()}
