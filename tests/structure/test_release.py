"""A release has one version and one list of changes, older hosts can start it, and its configurations agree."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from conftest import TREE, tracked

# The version of Ubuntu 22.04, the oldest host that docs/install.md names.
GLIBC_MAX = (2, 35)
BUILT = Path(os.environ.get("CODEJAIL_BIN", TREE / "target/release/codejail"))


def text(path):
    return (TREE / path).read_text(encoding="utf-8")


def version():
    return re.search(r'^\[workspace\.package\]\nversion = "(.+)"$', text("Cargo.toml"), re.M)[1]


def test_the_version_is_in_one_place():
    for manifest in tracked("*/Cargo.toml"):
        if manifest.parts[0] != "fuzz":
            assert "version.workspace = true" in text(manifest), manifest


def test_the_first_news_are_of_this_version():
    first = re.search(r"^## ([\d.]+)", text("CHANGELOG.md"), re.M)[1]
    assert first == version()


def test_the_installation_guide_names_this_version():
    named = set(re.findall(r"codejail_(\d[\d.]*)-", text("docs/install.md")))
    assert named == {version()}


@pytest.mark.parametrize("name", ["codejail", "libcodejail_worker.so", "codejail-api-tests"])
def test_no_program_asks_for_a_newer_c_library(name):
    table = subprocess.run(["objdump", "-T", BUILT.parent / name], check=True, capture_output=True, text=True).stdout
    wanted = {tuple(map(int, found.split("."))) for found in re.findall(r"GLIBC_([\d.]+)", table)}
    assert wanted, table
    assert {number for number in wanted if number > GLIBC_MAX} == set()


def preloaded(path):
    listed = re.search(r"^preload = \[\n(.*?)^\]", text(path), re.M | re.S)[1]
    return re.findall(r'"(.+)"', listed)


@pytest.mark.parametrize("size", ["small", "medium", "large"])
def test_each_size_preloads_what_the_tests_run_with(size):
    assert preloaded(f"deploy/config/{size}.toml") == preloaded("scripts/dev-config.sh")


@pytest.mark.parametrize("size", ["small", "medium", "large"])
def test_no_key_of_a_size_is_without_a_reason_beside_it(size):
    lines = text(f"deploy/config/{size}.toml").splitlines()
    block = []
    for line in [*lines, ""]:
        if line:
            block.append(line)
            continue
        keys = [entry for entry in block if re.match(r"\w+ = ", entry)]
        assert not keys or any(entry.startswith("#") for entry in block), block
        block = []


@pytest.mark.parametrize("path", tracked("deploy/requirements/*.txt"), ids=lambda path: path.stem)
def test_a_list_of_libraries_pins_each_and_has_six(path):
    pins = [line for line in text(path).splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?==[\w.]+", pin) for pin in pins), pins
    assert any(pin.startswith("six==") for pin in pins)


def test_every_file_of_the_package_exists():
    manifest = text("supervisor/Cargo.toml")
    sources = re.findall(r'^    \["\.\./([^"]+)"', manifest, re.M)
    assert sources
    missing = [source for source in sources if "target/" not in source and not list(TREE.glob(source))]
    assert missing == []
    placed = {source.rsplit("/", 1)[-1] for source in sources}
    for unit in tracked("deploy/systemd/*"):
        # cargo-deb finds files with the package's name without an entry in the manifest.
        assert unit.name in placed or unit.stem == "codejail", unit
