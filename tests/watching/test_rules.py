"""The alert rules: promtool accepts them, each fires and stays silent as it should, and each has a runbook."""

import re

import pytest
import yaml
from deployed import RULES, TREE, alerts, documented, metrics_of, promtool, rules

OPERATING = TREE / "docs/operating.md"


def anchors(text):
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_promtool_takes_the_rules_and_the_example_configuration():
    assert "SUCCESS" in promtool("check", "rules", RULES)
    assert "SUCCESS" in promtool("check", "config", RULES.with_name("prometheus.yml"))


def test_each_alert_fires_when_it_should_and_only_then():
    assert "SUCCESS" in promtool("test", "rules", RULES.with_name("rules_test.yml"))


def test_a_wrong_threshold_would_be_found(tmp_path):
    wrong = RULES.read_text(encoding="utf-8")
    for before, after in [("codejail_safe == 0", "codejail_safe == 2"), ("> 0.85", "> 0.2"), ("> 0.5\n", "> 0.9\n")]:
        assert before in wrong
        wrong = wrong.replace(before, after)
    (tmp_path / "rules.yml").write_text(wrong, encoding="utf-8")
    (tmp_path / "rules_test.yml").write_text(RULES.with_name("rules_test.yml").read_text(encoding="utf-8"))
    with pytest.raises(AssertionError) as failed:
        promtool("test", "rules", tmp_path / "rules_test.yml")
    for alert in ["CodejailUnsafe", "CodejailSaturated", "CodejailQueueWaitHigh"]:
        assert f"alertname: {alert}," in str(failed.value)


@pytest.mark.parametrize("alert", alerts())
def test_an_alert_has_a_case_with_one_instance_in_trouble_and_one_that_is_not(alert):
    cases = yaml.safe_load(RULES.with_name("rules_test.yml").read_text(encoding="utf-8"))["tests"]
    mine = [case for case in cases if any(test["alertname"] == alert for test in case["alert_rule_test"])]
    assert mine
    instances = {
        re.search(r'instance="([^"]+)"', series["series"])[1] for case in mine for series in case["input_series"]
    }
    firing = {
        expected["exp_labels"]["instance"]
        for case in mine
        for test in case["alert_rule_test"]
        for expected in test["exp_alerts"]
    }
    assert firing
    assert instances - firing


@pytest.mark.parametrize("alert", alerts())
def test_the_runbook_of_an_alert_is_there(alert):
    annotations = alerts()[alert]["annotations"]
    document, anchor = annotations["runbook"].split("#")
    assert TREE / document == OPERATING
    assert anchor == alert.lower()
    assert anchor in anchors(OPERATING.read_text(encoding="utf-8"))


def test_no_runbook_is_left_of_an_alert_that_is_gone():
    headings = set(re.findall(r"^#+ (Codejail\w+)$", OPERATING.read_text(encoding="utf-8"), re.MULTILINE))
    assert headings == set(alerts())


def test_rules_ask_for_metrics_that_there_are():
    asked = {metric for rule in rules() for metric in metrics_of(rule["expr"])}
    assert asked
    assert asked - documented() == set()
