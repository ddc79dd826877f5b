"""Puts what the plugin takes from the rest of the clone into its wheel: the source that the image is built from, the
Dockerfile, the seccomp profile, and what executes settings in Python."""

import io
import tarfile
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CLONE = Path(__file__).parents[2]
PACKAGE = "tutor_codejail_rust"
# All that the Dockerfile copies.
FILES_OF_ROOT = ("Cargo.toml", "Cargo.lock", "LICENSE")
DIRECTORIES = "api_tests apparmor benches deploy manual protocol spawner supervisor tests transport worker"
# What never belongs to it.
LEFT_OUT = {"__pycache__", "target", "tutor", "node_modules", ".pytest_cache", ".ruff_cache"}

FILES = {
    "deploy/docker/Dockerfile": "Dockerfile",
    "deploy/docker/config/codejail.toml": "codejail.toml",
    "deploy/docker/config/layers": "layers",
    "deploy/docker/seccomp.json": "seccomp.json",
    "supervisor/src/commands/import_settings/django_settings.py": "django_settings.py",
}


def listed(path):
    """Files below a path, in order; of each directory those that belong to the source."""
    if path.is_file():
        return [path]
    inside = sorted(entry for entry in path.iterdir() if entry.name not in LEFT_OUT)
    return [file for entry in inside for file in listed(entry)]


def archive(clone):
    """The source as a tar file, xz-compressed: the same bytes for the same files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz", format=tarfile.GNU_FORMAT) as tar:
        for file in [file for name in (*FILES_OF_ROOT, *DIRECTORIES.split()) for file in listed(clone / name)]:
            content = file.read_bytes()
            entry = tarfile.TarInfo(str(file.relative_to(clone)))
            entry.size = len(content)
            entry.mode = 0o755 if file.stat().st_mode & 0o100 else 0o644
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


class CloneHook(BuildHookInterface):
    """What hatchling calls before it packs the wheel."""

    def initialize(self, version, build_data):
        directory = Path(self.directory) / ".clone"
        directory.mkdir(parents=True, exist_ok=True)
        source = directory / "source.tar.xz"
        source.write_bytes(archive(CLONE))
        build_data["force_include"][str(source)] = f"{PACKAGE}/clone/source.tar.xz"
        for name, target in FILES.items():
            place = f"{PACKAGE}/{target}" if target.endswith(".py") else f"{PACKAGE}/clone/{target}"
            build_data["force_include"][str(CLONE / name)] = place
