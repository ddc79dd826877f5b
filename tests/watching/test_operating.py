"""The names in docs/operating.md exist."""

import re
from pathlib import Path

import pytest
from deployed import TREE, alerts, complaints, documented, metrics_of

OPERATING = (TREE / "docs/operating.md").read_text(encoding="utf-8")
# An en dash stands in the table's empty cells.
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
    # These are not about executions, but about the service and its log.
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
    # The code writes the event of an execution in another form, as one of the line's fields.
    events = set(re.findall(r'event(?: = |"\), )"(\w+)"', "".join(sources)))
    named = set(re.findall(r'`event="(\w+)"`', OPERATING))
    assert len(named) > 8
    assert named - events == set()
    assert metrics_of(OPERATING) - documented() == set()


@pytest.mark.parametrize("picture", ["page.png", "page-phone.png"])
def test_the_pictures_are_there_and_small(picture):
    assert f"]({picture})" in OPERATING
    assert 1000 < Path(TREE / "docs" / picture).stat().st_size < 300_000
