"""The page for people, in headless Chromium, after a known load. `make test-page`.

Not collected by a plain `pytest`: it takes half a minute and a browser. With CODEJAIL_SCREENSHOTS it writes the
pictures of docs/ there.
"""

import json
import os
import re
from pathlib import Path

import load
import pytest
import requests
from browser import browser
from deployed import complaints

PARTS = ["pool", "latency", "problems", "executions", "cold", "safety", "configuration"]
PHONE, DESK = 360, 1280
# The page keeps the last hundred executions.
KEPT = 100


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The address of metrics, a window that shows its page, and what the load was."""
    with load.watched_service(tmp_path_factory.mktemp("service")) as (service, metrics):
        done = load.one_round(service)
        with browser(tmp_path_factory.mktemp("browser")) as window:
            window.be_wide(DESK)
            window.open(metrics)
            count = sum(load.expected_ends([done]).values())
            window.wait_for(f"return document.getElementById('execution-rows').rows.length == {count}")
            yield metrics, window, done


@pytest.fixture
def phone(page):
    _, window, _ = page
    window.be_wide(PHONE)
    yield window
    window.be_wide(DESK)


def status(metrics):
    return requests.get(f"{metrics}/page.json", timeout=10).json()


def test_each_part_is_there(page):
    _, window, _ = page
    for part in PARTS:
        assert len(window.text(f"#{part}")) > 40, part
    assert window.text("#state") == "serving"


def test_the_pool_is_the_one_that_serves(page):
    _, window, _ = page
    assert "1 of 1" in window.text("#tile-workers")
    assert "0 of 1" in window.text("#tile-busy")
    assert "0 of 1" in window.text("#tile-queue")
    assert re.search(r"\d of [1-9]", window.text("#tile-ready"))
    for tile in ["#tile-p50", "#tile-p95", "#tile-max", "#tile-queue-p95"]:
        assert re.search(r"\d (ms|s)\b", window.text(tile)), tile


def test_the_pool_is_live(page):
    metrics, window, _ = page
    before = status(metrics)["at"]
    shown = window.text("#read")
    window.wait_for(f"return document.getElementById('read').textContent != {json.dumps(shown)}")
    assert status(metrics)["at"] > before


def test_each_problem_has_its_row_with_what_became_of_it(page):
    _, window, done = page
    rows = {row[0]: row for row in window.rows("problem-rows")}
    for slug, (_, times, end, _) in load.PROBLEMS.items():
        if slug != load.HOSTILE:
            assert rows[slug][1] == str(times), slug
            assert rows[slug][2] == ("0" if end == "success" else str(times)), slug
    assert rows["busy"][1] == str(done["busy"])
    assert "CPU limit of 1 s" in rows["endless"][4]
    assert f"REALTIME limit of 0.5 s, context {load.CONTEXT}" in rows["asleep"][4]
    assert "VMEM limit of 2048 MiB" in rows["greedy"][4]
    assert "exception" in rows["wrong"][4]


def test_each_execution_has_its_row(page):
    _, window, done = page
    rows = window.rows("execution-rows")
    ends = {end: sum(row[3].split(" ")[0] == end for row in rows) for end in load.ENDS}
    assert not any("failed" in row[4] or "killed" in row[4] for row in rows if row[3] == "success")
    assert ends == load.expected_ends([done])
    endless = next(row for row in rows if row[1] == "endless")
    assert endless[3] == "cpu (CPU)"
    assert re.fullmatch(r"(\d{3} ms|[12][.]\d\d s)", endless[7])
    assert re.fullmatch(r"[\d.]+ [KM]iB", endless[8])
    assert len(endless[9]) >= 16


def test_a_hostile_slug_is_text(page):
    _, window, _ = page
    slugs = [row[0] for row in window.rows("problem-rows")]
    assert load.HOSTILE.replace("\u202e", "\\u{202e}") in slugs
    assert window.run("return document.querySelectorAll('img, td script, iframe').length") == 0
    assert window.complaints() == []


def test_cold_imports_come_with_advice(page):
    _, window, _ = page
    assert "python.preload" in window.text("#cold-advice")
    rows = {module: count for module, count in window.rows("cold-rows")}
    assert rows["networkx"] == str(load.PROBLEMS["cold"][1])
    assert "numpy" not in rows


def test_checks_and_layers_are_those_of_health(page):
    metrics, window, _ = page
    health = requests.get(f"{metrics}/health/", timeout=10).json()
    assert {row[0]: row[1] for row in window.rows("check-rows")} == {
        check["id"]: "passed" for check in health["checks"]
    }
    layers = {row[0]: row[1] for row in window.rows("layer-rows")}
    assert layers == {layer["layer"]: "on" if layer["on"] else "off" for layer in health["layers"]}


def test_each_key_is_shown_with_its_source_and_no_secret(page):
    metrics, window, _ = page
    told = {row[0]: row for row in window.rows("set-rows")}
    assert told["limits.CPU"][1] == "1"
    assert told["limits.CPU"][2].endswith("codejail.toml")
    assert f'limit_overrides."{load.CONTEXT}".REALTIME' in told
    assert told["python.env.TOKEN"][1] == "not shown"
    defaults = {row[0]: row for row in window.rows("default-rows")}
    assert defaults["max_requests"][2] == "default"
    assert load.SECRET not in requests.get(f"{metrics}/page.json", timeout=10).text


# What the page says to each complaint of docs/operating.md after the load, by the beginning of the
# complaint.
ANSWERS = {
    '"codejail fails"': ["endless", "failed: an exception that the code did not catch"],
    "Which limit was it": ["CPU limit of 1 s", "wall (REALTIME)"],
    "Which course has it": [load.CONTEXT],
    "How busy is it": ["Executions admitted", "0 of 1", "95 % of waits for a sandbox"],
    "Requests are turned away": ["Requests that wait", "Longest wait now"],
    "The first run of a library": ["Preload these", "networkx"],
    "How much memory": ["MiB"],
    "Whose request was it": ["Request"],
    "Is what I changed in force": ["limits.CPU", "codejail.toml"],
    "Is it confined": ["passed", "seccomp", "landlock"],
}


def test_the_page_answers_each_complaint_where_the_table_says(page):
    _, window, _ = page
    each = "[h.firstChild.textContent.trim(), h.parentNode.innerText]"
    sections = dict(window.run(f"return [...document.querySelectorAll('h2')].map(h => {each})"))
    assert len(ANSWERS) == len(complaints())
    for row in complaints():
        answers = next(answers for start, answers in ANSWERS.items() if row["complaint"].startswith(start))
        shown = "\n".join(sections[part] for part in row["page"].split(", "))
        for answer in answers:
            assert answer in shown, f"{row['complaint']}: {answer}"


def test_nothing_scrolls_sideways_on_a_phone(phone):
    phone.run("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    wide = phone.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide[1] == PHONE
    assert wide[0] <= PHONE, wide
    beyond = phone.run(
        f"return [...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > {PHONE})"
        ".map(e => e.outerHTML.slice(0, 100))"
    )
    assert beyond == []
    phone.run("document.querySelectorAll('details').forEach(each => { each.open = false; })")


def test_it_is_light_and_dark_and_readable_in_both(page):
    _, window, _ = page
    script = "const s = getComputedStyle(document.querySelector('%s')); return [s.color, s.backgroundColor]"
    paper = {}
    for scheme in ["light", "dark"]:
        window.prefer(scheme)
        paper[scheme] = window.run(script % "body")[1]
        card = window.run(script % "section")[1]
        for selector in [".soft", ".good", ".bad", "td"]:
            ink = window.run(script % selector)[0]
            assert contrast(ink, card) >= 4.5, f"{scheme}: {selector}"
    window.prefer("light")
    assert paper["light"] != paper["dark"]


def luminance(color):
    parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    """As WCAG 2.1 measures it; 4.5 is what body text needs."""
    lighter, darker = sorted([luminance(one), luminance(other)], reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_the_policy_stops_what_is_not_the_pages_own(page):
    metrics, window, _ = page
    head = requests.get(metrics, timeout=10).headers
    assert "default-src 'none'" in head["content-security-policy"]
    assert "unsafe" not in head["content-security-policy"]
    assert head["x-content-type-options"] == "nosniff"
    ran = window.run(
        "const s = document.createElement('script'); s.textContent = 'window.intruder = 1'; document.body.append(s);"
        "return window.intruder === undefined"
    )
    assert ran
    assert any("Content Security Policy" in said for said in window.complaints())


def test_the_page_is_not_on_the_address_of_the_api_and_changes_nothing(page):
    metrics, _, _ = page
    for path in ["/", "/page.json"]:
        for method in ["POST", "PUT", "DELETE"]:
            answer = requests.request(method, metrics + path, timeout=10)
            assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_the_ring_is_bounded(page):
    metrics, _, _ = page
    answer = requests.get(f"{metrics}/page.json", timeout=10)
    assert len(answer.content) < 200_000
    assert len(answer.json()["executions"]) <= answer.json()["executions_max"] == KEPT


def test_pictures_for_the_documents(page):
    _, window, _ = page
    directory = os.environ.get("CODEJAIL_SCREENSHOTS")
    for name, width, height, scheme in [("page", DESK, 1150, "light"), ("page-phone", PHONE, 780, "dark")]:
        window.be_wide(width, height)
        window.prefer(scheme)
        window.run("scrollTo(0, 0)")
        picture = window.screenshot()
        assert picture.startswith(b"\x89PNG")
        if directory:
            Path(directory, f"{name}.png").write_bytes(picture)
    window.prefer("light")
