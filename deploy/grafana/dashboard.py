#!/usr/bin/env python3
"""Writes codejail.json, the dashboard for Grafana, from the list of panels below.

    deploy/grafana/dashboard.py            writes it
    deploy/grafana/dashboard.py --check    exits with 1 if it is not what would be written

Import codejail.json into Grafana (10 or newer) and choose the data source. Each panel has a description: what it
shows, and what to do about it.
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
COLUMNS = 24
HEIGHT = 8

# What each query is restricted to; Grafana fills in the variable.
BY = 'instance=~"$instance"'


def rate(metric, by="", where=""):
    """Growth per second of a counter."""
    grouped = f"sum by ({by}) " if by else "sum"
    return f"{grouped}(rate({metric}{{{BY}{where}}}[$__rate_interval]))"


def quantile(part, metric, where=""):
    """A quantile of a histogram."""
    return f"histogram_quantile({part}, {rate(metric + '_bucket', 'le', where)})"


def quantiles(metric, where=""):
    """The usual three of them."""
    parts = {"median": 0.5, "95 %": 0.95, "99 %": 0.99}
    return {label: quantile(part, metric, where) for label, part in parts.items()}


def gauge(metric, by="instance"):
    """What is now, of all instances together or of each."""
    return f"sum by ({by}) ({metric}{{{BY}}})"


# Row title: (panel title, unit, description, {legend: query}).
ROWS = {
    "Is it well?": [
        (
            "Safe and enabled",
            "bool_yes_no",
            "Whether executions are accepted: safe is what /health/ says. At no, see /health/ and the runbook "
            "of CodejailUnsafe.",
            {"safe {{instance}}": gauge("codejail_safe"), "enabled {{instance}}": gauge("codejail_enabled")},
        ),
        (
            "Workers",
            "none",
            "Workers by state, and how many there shall be. Starting for long: see the log for worker_failed.",
            {
                "{{state}}": gauge("codejail_workers", "state"),
                "configured": "sum(codejail_workers_configured{" + BY + "})",
            },
        ),
        (
            "Layers that are off",
            "none",
            "Layers of confinement that this host does not give, or the configuration turns off.",
            {"{{layer}} on {{instance}}": 'codejail_layer{state="off", ' + BY + "}"},
        ),
        (
            "Safety checks",
            "bool_yes_no",
            "The original's startup checks and ours, in a sandbox of each new worker: yes is passed.",
            {"{{id}}": f"min by (id) (codejail_startup_check{{{BY}}})"},
        ),
    ],
    "What is executed, and how does it end?": [
        (
            "Requests by status",
            "reqps",
            "Requests by codejail.exec.status, the original's words. Much of invalid.* means that a client is broken.",
            {"{{status}}": rate("codejail_requests_total", "status")},
        ),
        (
            "Executions by end",
            "ops",
            "How executions ended. exception is the author's; cpu, wall and memory are limits; fault is the service's.",
            {"{{end}}": rate("codejail_executions_total", "end")},
        ),
        (
            "Limits that were hit",
            "ops",
            "Executions that ran into a limit, by its key. The log says which problem; limit_overrides can raise it "
            "for one course.",
            {"{{limit}}": rate("codejail_limit_hits_total", "limit")},
        ),
        (
            "Refused with 503",
            "reqps",
            "queue_full and waited_too_long: more workers. no_room: large bodies, see bodies_bytes_max.",
            {"{{reason}}": rate("codejail_requests_refused_total", "reason")},
        ),
    ],
    "How fast is it?": [
        (
            "Time to the answer",
            "s",
            "Time from the head of a request to its answer, for executions. The LMS gives up after 3.5 s.",
            quantiles("codejail_request_seconds", ', status=~"executed[.].*"'),
        ),
        (
            "Wait for a sandbox",
            "s",
            "From admission to a sandbox. Beyond milliseconds the pool is too small, or sandboxes are made slowly.",
            quantiles("codejail_queue_wait_seconds"),
        ),
        (
            "Run",
            "s",
            "From the job to the end of the run: the author's code and its imports.",
            quantiles("codejail_execution_seconds"),
        ),
        (
            "Cold imports",
            "ops",
            "Libraries that executions import anew each time. Add them to python.preload.",
            {"{{module}}": rate("codejail_cold_imports_total", "module")},
        ),
    ],
    "How full is it?": [
        (
            "Executions admitted",
            "none",
            "Executions at a time, and how many there can be. At the bound for minutes: more workers.",
            {"busy": gauge("codejail_sandboxes_busy"), "capacity": gauge("codejail_sandboxes_busy_max")},
        ),
        (
            "Sandboxes ready",
            "none",
            "Sandboxes that wait for a job. Zero for a moment is a burst; for minutes it means that none can be made.",
            {"ready": gauge("codejail_sandboxes_ready"), "at rest": gauge("codejail_sandboxes_ready_max")},
        ),
        (
            "Queue",
            "none",
            "Requests that wait for admission, and how many may.",
            {"waiting": gauge("codejail_queue_length"), "bound": gauge("codejail_queue_length_max")},
        ),
        (
            "Longest wait now",
            "s",
            "How long the oldest request in the queue has waited, and when it is refused.",
            {
                "oldest": gauge("codejail_queue_oldest_wait_seconds"),
                "bound": gauge("codejail_queue_oldest_wait_seconds_max"),
            },
        ),
    ],
    "What does it use?": [
        (
            "CPU of a run",
            "s",
            "CPU time of a run, without the preparation of its sandbox.",
            quantiles("codejail_execution_cpu_seconds"),
        ),
        (
            "Memory of a run",
            "bytes",
            "Most memory that a run had beyond its ready sandbox's.",
            quantiles("codejail_execution_memory_bytes"),
        ),
        (
            "CPU in all",
            "none",
            "Cores that sandboxes and the supervisor use.",
            {
                "sandboxes": rate("codejail_sandbox_cpu_seconds_total"),
                "supervisor": rate("process_cpu_seconds_total", where=', job="codejail"'),
            },
        ),
        (
            "Memory of the supervisor",
            "bytes",
            "Resident memory of the supervisor. Workers and sandboxes are not in it.",
            {"{{instance}}": 'process_resident_memory_bytes{job="codejail", ' + BY + "}"},
        ),
    ],
    "What happens to it?": [
        (
            "Starts and ends of workers",
            "ops",
            "What came of starts, and why workers ended. max_requests and reload are normal; lost is not.",
            {
                "start: {{result}}": rate("codejail_worker_starts_total", "result"),
                "end: {{reason}}": rate("codejail_workers_recycled_total", "reason"),
            },
        ),
        (
            "Warm-up of workers",
            "s",
            "Mean since the start, from a worker's launch until it is warm: the imports of python.preload.",
            {
                "mean": f"sum(codejail_worker_warm_up_seconds_sum{{{BY}}})"
                f" / sum(codejail_worker_warm_up_seconds_count{{{BY}}})"
            },
        ),
        (
            "Trouble",
            "ops",
            "Things that should not happen: see the log, and the runbook of the alert.",
            {
                "worker failures": rate("codejail_worker_failures_total"),
                "sandbox failures": rate("codejail_sandbox_failures_total"),
                "scratch failures": rate("codejail_scratch_failures_total"),
                "log lines lost": rate("codejail_log_lines_lost_total"),
                "libraries not compiled": rate("codejail_library_cache_failed_total"),
            },
        ),
        (
            "Last configuration that counts",
            "dateTimeAsIso",
            "When the configuration in force was read. A refused reload leaves the older: CodejailReloadFailed.",
            {"{{instance}}": "1000 * " + gauge("codejail_config_last_reload_success_timestamp_seconds")},
        ),
    ],
}


def panel(number, place, title, unit, description, queries):
    """One panel; `place` is (column, line)."""
    source = {"type": "prometheus", "uid": "${datasource}"}
    targets = [
        {"refId": chr(ord("A") + index), "datasource": source, "expr": query, "legendFormat": legend}
        for index, (legend, query) in enumerate(queries.items())
    ]
    width = COLUMNS // 4
    return {
        "id": number,
        "type": "stat" if unit == "dateTimeAsIso" else "timeseries",
        "title": title,
        "description": description,
        "datasource": source,
        "gridPos": {"x": place[0] * width, "y": place[1], "w": width, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": targets,
    }


def panels():
    """All of them, a row's four beside each other."""
    made, line = [], 0
    for title, row in ROWS.items():
        place = {"x": 0, "y": line, "w": COLUMNS, "h": 1}
        made.append({"id": len(made) + 1, "type": "row", "title": title, "gridPos": place, "panels": []})
        for column, description in enumerate(row):
            made.append(panel(len(made) + 1, (column, line + 1), *description))
        line += 1 + HEIGHT
    return made


def dashboard():
    """The whole dashboard, as Grafana has it."""
    instance = {
        "name": "instance",
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": "label_values(codejail_build_info, instance)",
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
    }
    return {
        "uid": "codejail",
        "title": "codejail",
        "tags": ["codejail", "openedx"],
        "schemaVersion": 38,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}, instance]},
        "panels": panels(),
    }


def main():
    text = json.dumps(dashboard(), indent=2) + "\n"
    path = HERE / "codejail.json"
    if sys.argv[1:] == ["--check"]:
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path} is out of date: run {__file__}")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
