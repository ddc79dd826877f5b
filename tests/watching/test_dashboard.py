"""Grafana's dashboard is what its source makes. Each panel has a description, and its metrics exist."""

import subprocess
import sys

from deployed import TREE, documented, metrics_of, panels

SOURCE = TREE / "deploy/grafana/dashboard.py"


def test_the_dashboard_is_what_its_source_makes():
    done = subprocess.run([sys.executable, SOURCE, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_old_dashboard_would_be_found(tmp_path):
    copy = tmp_path / "dashboard.py"
    copy.write_text(SOURCE.read_text(encoding="utf-8"), encoding="utf-8")
    json = SOURCE.with_name("codejail.json").read_text(encoding="utf-8")
    (tmp_path / "codejail.json").write_text(json.replace("rate(", "irate(", 1), encoding="utf-8")
    done = subprocess.run([sys.executable, copy, "--check"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "out of date" in done.stderr


def test_each_panel_has_a_description_and_a_title_of_its_own():
    titles = [panel["title"] for panel in panels()]
    assert len(titles) == len(set(titles))
    for panel in panels():
        assert len(panel["description"]) > 30, panel["title"]
        assert panel["targets"], panel["title"]


def test_panels_ask_for_metrics_that_there_are():
    asked = {metric for panel in panels() for target in panel["targets"] for metric in metrics_of(target["expr"])}
    assert asked
    assert asked - documented() == set()
