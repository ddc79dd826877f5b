"""Debian's prometheus scrapes a service under a known load, and the tests ask it. `make test-prometheus`.

Not collected by a plain `pytest`: it takes half a minute and a server.
"""

import re
import socket
import subprocess
import time
from pathlib import Path

import load
import pytest
import requests
import yaml
from deployed import PROMETHEUS, RULES, metrics_of, panels, promtool, rules

# Rates need two scrapes, so the time between scrapes is short here.
SCRAPE_SECONDS = 0.5
SCRAPE = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
# Grafana puts these into queries.
FILLED_IN = {"$__rate_interval": "1m", "$instance": ".*"}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Prometheus:
    """A Prometheus server of the test, on loopback, with the rules that are deployed."""

    def __init__(self, directory, target):
        config = {
            "global": SCRAPE,
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "codejail", "static_configs": [{"targets": [target]}]}],
        }
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        self.address = f"127.0.0.1:{free_port()}"
        self.log = directory / "prometheus.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [
                    PROMETHEUS / "prometheus",
                    f"--config.file={directory}/prometheus.yml",
                    f"--storage.tsdb.path={directory}/data",
                    f"--web.listen-address={self.address}",
                ],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=directory,
            )

    def get(self, path, **parameters):
        answer = requests.get(f"http://{self.address}/api/v1/{path}", params=parameters, timeout=10).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def ask(self, query):
        return self.get("query", query=query)["result"]

    def number(self, query):
        """The only value that a query has; None if it has no value yet."""
        found = self.ask(query)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def is_up(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            # Before that the server answers without JSON.
            if requests.get(f"http://{self.address}/-/ready", timeout=10).status_code != 200:
                return False
            return self.number('up{job="codejail"}') == 1
        except requests.ConnectionError:
            return False

    def wait_for(self, query, value):
        deadline = time.monotonic() + 30
        while (found := self.number(query)) != value:
            assert time.monotonic() < deadline, f"{query} is {found}, not {value}"
            time.sleep(SCRAPE_SECONDS / 2)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A service, the Prometheus that scrapes it, and the load. The load comes twice: a counter that the first event
    makes needs a scrape before an event and one after it.
    """
    with load.watched_service(tmp_path_factory.mktemp("service")) as (service, metrics):
        prometheus = Prometheus(tmp_path_factory.mktemp("prometheus"), metrics.removeprefix("http://"))
        try:
            load.wait_until(prometheus.is_up)
            rounds = []
            for _ in range(2):
                rounds.append(load.one_round(service))
                ends = sum(load.expected_ends(rounds).values())
                prometheus.wait_for("sum(codejail_executions_total)", ends)
            # The next evaluation of the rules has seen the whole load.
            time.sleep(2 * SCRAPE_SECONDS)
            yield metrics, prometheus, rounds
        finally:
            prometheus.stop()


def test_promtool_takes_the_metrics(watched):
    metrics, _, _ = watched
    promtool("check", "metrics", text=requests.get(f"{metrics}/metrics", timeout=10).text)


def test_prometheus_knows_how_each_execution_ended(watched):
    _, prometheus, rounds = watched
    for end, count in load.expected_ends(rounds).items():
        assert prometheus.number(f'codejail_executions_total{{end="{end}"}}') == count, end
    for limit, slug in [("CPU", "endless"), ("REALTIME", "asleep"), ("VMEM", "greedy")]:
        count = load.PROBLEMS[slug][1] * len(rounds)
        assert prometheus.number(f'codejail_limit_hits_total{{limit="{limit}"}}') == count, limit
    in_context = f'codejail_context_executions_total{{context="{load.CONTEXT}", end="wall"}}'
    assert prometheus.number(in_context) == len(rounds)


def test_prometheus_knows_what_was_refused(watched):
    _, prometheus, rounds = watched
    refused = sum(done["refused"] for done in rounds)
    assert prometheus.number('codejail_requests_refused_total{reason="queue_full"}') == refused
    assert prometheus.number('codejail_requests_total{status="refused.busy"}') == refused
    assert prometheus.number('codejail_requests_total{status="invalid.payload.bad_json"}') == len(rounds)


def test_prometheus_knows_what_to_preload(watched):
    _, prometheus, rounds = watched
    count = load.PROBLEMS["cold"][1] * len(rounds)
    assert prometheus.number('codejail_cold_imports_total{module="networkx"}') == count


def test_a_hostile_slug_is_in_no_label(watched):
    _, prometheus, _ = watched
    series = prometheus.get("series", **{"match[]": '{job="codejail"}'})
    assert len(series) > 100
    values = {value for labels in series for value in labels.values()}
    assert not [value for value in values if "<" in value or "script" in value]


def test_prometheus_evaluates_each_rule(watched):
    _, prometheus, _ = watched
    evaluated = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert len(evaluated) == len(rules())
    assert {rule["name"]: rule.get("lastError") for rule in evaluated if rule["health"] != "ok"} == {}


def test_each_rule_looks_at_series_that_there_are(watched):
    _, prometheus, _ = watched
    selector = re.compile(r"((?:codejail|process)[\w:]*|up)(\{[^}]*\})?")
    for rule in rules():
        for name, labels in selector.findall(re.sub(r"\bby \([^)]*\)", "", rule["expr"])):
            found = prometheus.ask(f"{name}{labels}")
            assert found, f"{rule.get('alert', rule.get('record'))}: {name}{labels} selects nothing"


def test_refusals_make_their_alert_pending_and_a_service_that_is_well_makes_none(watched):
    _, prometheus, _ = watched
    waiting = {alert["labels"]["alertname"] for alert in prometheus.get("alerts")["alerts"]}
    assert "CodejailRefusing" in waiting
    # Executions that fail and requests that are refused may use up the objective. No other alert
    # may fire.
    assert waiting <= {"CodejailRefusing", "CodejailLatencySLO", "CodejailLatencySLOSlowBurn", "CodejailSaturated"}


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_each_query_of_a_panel_returns_data(watched, panel):
    _, prometheus, _ = watched
    for target in panel["targets"]:
        query = target["expr"]
        assert metrics_of(query)
        for variable, value in FILLED_IN.items():
            query = query.replace(variable, value)
        found = prometheus.ask(query)
        assert found, query
        numbers = [series["value"][1] for series in found]
        assert "NaN" not in numbers, f"{query}: {numbers}"


def test_the_server_is_the_one_of_the_debian_release_or_newer():
    said = subprocess.run([PROMETHEUS / "prometheus", "--version"], capture_output=True, text=True, check=True)
    version = re.search(r"version (\d+)\.(\d+)", said.stdout + said.stderr)
    assert (int(version[1]), int(version[2])) >= (2, 42)
    assert Path(PROMETHEUS / "promtool").exists()
