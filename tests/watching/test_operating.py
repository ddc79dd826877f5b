"""docs/operating.md: what it names is there."""

import re
from pathlib import Path

import pytest
from deployed import TREE, alerts, complaints, documented, metrics_of

OPERATING = (TREE / "docs/operating.md").read_text(encoding="utf-8")
# An en dash: the table's empty cell.
NOTHING = "\u2013"
PAGE = (TREE / "supervisor/src/page/page.html").read_text(encoding="utf-8")


def test_each_complaint_of_the_originals_operators_is_in_the_table():
    asked = " ".join(row["complaint"] for row in complaints())
    for word in ["fails", "limit", "busy", "turned away", "first run", "course", "memory"]:
        assert word in asked, word


@pytest.mark.parametrize("row", complaints(), ids=lambda row: row["complaint"][:30])
def test_a_row_names_alerts_and_parts_of_the_page_that_there_are(row):
    named = re.findall(r"`(\w+)`", row["alert"])
    assert set(named) <= set(alerts())
    assert named or row["alert"] == NOTHING
    parts = row["page"].split(", ")
    headings = set(re.findall(r"<h2>([\w ]+?) ?<", PAGE))
    assert set(parts) <= headings


def test_each_alert_that_asks_how_full_it_is_or_what_ended_has_a_row():
    named = {name for row in complaints() for name in re.findall(r"`(\w+)`", row["alert"])}
    # These answer no complaint about executions: is it there, is it meant, is the log whole?
    others = {
        "CodejailDown",
        "CodejailDisabled",
        "CodejailWorkersFlapping",
        "CodejailWarmUpSlow",
        "CodejailLogLinesLost",
        "CodejailLatencySLOSlowBurn",
    }
    assert named | others == set(alerts())
    assert not named & others


def test_events_and_metrics_that_it_names_are_those_of_the_service():
    sources = [path.read_text(encoding="utf-8") for path in (TREE / "supervisor/src").rglob("*.rs")]
    # Of an execution's event the fields write themselves.
    events = set(re.findall(r'event(?: = |"\), )"(\w+)"', "".join(sources)))
    named = set(re.findall(r'`event="(\w+)"`', OPERATING))
    assert len(named) > 8
    assert named - events == set()
    assert metrics_of(OPERATING) - documented() == set()


@pytest.mark.parametrize("picture", ["page.png", "page-phone.png"])
def test_the_pictures_are_there_and_small(picture):
    assert f"]({picture})" in OPERATING
    assert 1000 < Path(TREE / "docs" / picture).stat().st_size < 300_000
