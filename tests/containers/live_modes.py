"""Each mode has the layers that it should have, refuses to start without them, and stops the probes.

`make test-docker` runs it, beside an engine. It compares what it finds with the table of docs/containers.md. With
CODEJAIL_TEST_WRITE it writes the table.
"""

import os
import re

import pytest
from containers import REPOSITORY, container
from modes import FULL, MODES
from probes import run_probes

REMAPPED = bool(os.environ.get("CODEJAIL_TEST_REMAPPED"))
HERE = [mode for mode in MODES if mode.remapped == REMAPPED]
DOCUMENT = REPOSITORY / "docs/containers.md"
COLUMNS = ["uid", "namespaces", "mounts", "landlock", "seccomp", "rlimits"]
NO = "\N{EN DASH}"
# These probes must pass in every mode, whatever layers it lacks.
GROUPS = ["files", "processes", "network"]
by_name = pytest.mark.parametrize("mode", HERE, ids=lambda mode: mode.name)


def row(mode, layers, report):
    """A mode's line in the document: layers, then denials by group, then all other probes."""
    ran = [probe for probe in report if probe["outcome"] != "skipped"]

    def share(probes):
        return f"{sum(probe['passed'] for probe in probes)} of {len(probes)}"

    denied = [share([p for p in ran if p["group"] == group and p["name"].startswith("deny_")]) for group in GROUPS]
    others = [p for p in ran if p["group"] not in GROUPS or not p["name"].startswith("deny_")]
    cells = [mode.name, *("on" if column in layers else NO for column in COLUMNS), *denied, share(others)]
    return "| " + " | ".join(cells) + " |"


def document_says(mode, line):
    """Whether the document's table has this line. With CODEJAIL_TEST_WRITE the line is put there."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, table = text.split("| mode | uid |")
    if os.environ.get("CODEJAIL_TEST_WRITE"):
        pattern = rf"^\| {re.escape(mode.name)} \|.*$"
        table, found = re.subn(pattern, lambda _: line, table, flags=re.MULTILINE)
        assert found == 1, f"{DOCUMENT} has no line of the mode {mode.name}"
        DOCUMENT.write_text(f"{before}| mode | uid |{table}", encoding="utf-8")
    return line in table.splitlines()


@by_name
def test_a_mode_has_its_layers_and_holds(mode, tmp_path):
    with container(*mode.flags, config=mode.config) as service:
        layers = service.layers()
        assert layers == mode.all_layers, service.log()
        assert service.execute("import numpy\nx = int(numpy.sum([1, 2]))\ndel numpy") == {"globals_dict": {"x": 3}}
        report, printed = run_probes(service, tmp_path, layers)
        assert service.is_running
    failed = [p for p in report if p["outcome"] != "skipped" and not p["passed"]]
    # A sandbox without a root and namespaces of its own may ask whether a file is there. It may not
    # read the file.
    worse = [p["name"] for p in failed if (p["kind"], p["outcome"]) != ("surface", "succeeded")]
    assert worse == [], printed
    if mode.recommended:
        assert failed == [], printed
    line = row(mode, layers, report)
    assert document_says(mode, line), f"docs/containers.md does not have this line:\n{line}\n" + "\n".join(
        f"{p['name']} ({p['group']}): {p['how']}" for p in failed
    )


@by_name
def test_a_mode_names_what_it_lacks_with_what_would_give_it(mode):
    with container(*mode.flags, config=mode.config) as service:
        service.health()
        log = service.log()
    for layer in FULL - mode.layers:
        line = next(line for line in log.splitlines() if f'layer="{layer}"' in line)
        flag = {"uid": "--user 0", "namespaces": "--cap-add SYS_ADMIN", "mounts": "seccomp=seccomp.json"}[layer]
        assert 'event="layer_disabled"' in line and flag in line, line


@by_name
def test_a_mode_refuses_to_start_without_its_layers(mode):
    missing = FULL - mode.layers
    if not missing:
        pytest.skip("it has every layer that a container can have here")
    for layer in missing:
        variable = f"--env=CODEJAIL_LAYERS__{layer.upper()}=require"
        with container(*mode.flags, variable, config=mode.config) as service:
            assert service.wait_for_end() == 78, service.log()
            assert f"layers.{layer} is required" in service.log()
