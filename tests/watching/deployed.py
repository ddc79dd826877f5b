"""The files that are deployed to watch a service (rules, dashboard, documents), as tests read them; promtool."""

import json
import os
import re
import subprocess
from pathlib import Path

import yaml

TREE = Path(__file__).parents[2]
PROMETHEUS = Path(os.environ.get("CODEJAIL_TEST_PROMETHEUS", TREE / "target/tools/prometheus"))
RULES = TREE / "deploy/prometheus/rules.yml"
METRIC = re.compile(r"\b(?:codejail_|process_)\w+")


def promtool(*arguments, text=None):
    """The output of promtool, which must end well."""
    done = subprocess.run([PROMETHEUS / "promtool", *arguments], input=text, capture_output=True, text=True, cwd=TREE)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def rules():
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts():
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def panels():
    dashboard = json.loads((TREE / "deploy/grafana/codejail.json").read_text(encoding="utf-8"))
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def metrics_of(query):
    """The names of the metrics in a query, without the suffixes of histograms."""
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in METRIC.findall(query)}


def documented():
    """The metrics that docs/metrics.md names, which a test compares with the service's."""
    text = (TREE / "docs/metrics.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| `((?:codejail_|process_)\w+)` \|", text, re.MULTILINE))


def complaints():
    """The rows of docs/operating.md's first table."""
    lines = (TREE / "docs/operating.md").read_text(encoding="utf-8").splitlines()
    start = lines.index("|---|---|---|---|---|") + 1
    names = [cell.strip() for cell in lines[start - 2].strip("|").split("|")]
    end = next(place for place in range(start, len(lines)) if not lines[place].startswith("|"))
    return [dict(zip(names, re.split(r" ?\| ?", line.strip("| ")))) for line in lines[start:end]]
