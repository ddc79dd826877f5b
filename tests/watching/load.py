"""A service with an address for metrics, and a mix of requests whose ends are known."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import requests
from running_service import development_configuration, running_service

# Other uids than those of the services of other tests.
UID_BASE = 349_730_000
CONTEXT = "course-v1:Org+Slow+2026"
HOSTILE = "<img src=x onerror=alert(1)>\u202e</td><script>alert(2)</script>"

# By slug: (code, how often one round sends it, how it ends, the context).
PROBLEMS = {
    "good": ("x = 1 + 1", 20, "success", None),
    "wrong": ("raise ValueError('no such answer')", 3, "exception", None),
    "endless": ("while True: pass", 1, "cpu", None),
    "asleep": ("import time; time.sleep(30)", 1, "wall", CONTEXT),
    "greedy": ("x = len(bytearray(3 << 30))", 2, "memory", None),
    "cold": ("import networkx", 2, "success", None),
    HOSTILE: ("x = 1", 1, "success", None),
}
ENDS = sorted({end for _, _, end, _ in PROBLEMS.values()})
# At least so many requests of a round are refused: one runs, one waits, and the queue is full for
# the others.
AT_ONCE = 8


# This stands in the configuration, and must not be shown anywhere.
SECRET = "not-for-the-page"
SETTINGS = f"""
sandboxes_per_worker = 1
queue_length_max = 1
metrics.bind = "127.0.0.1:0"
limits.CPU = 1
limits.REALTIME = 5
limits.VMEM = 2147483648
limit_overrides."{CONTEXT}".REALTIME = 0.5

[python]
env = {{ TOKEN = "{SECRET}" }}"""


def configuration():
    """One sandbox at a time, a queue of one, short limits; networkx is not preloaded."""
    general = development_configuration(UID_BASE).replace("workers = 2", "workers = 1")
    preload = re.compile(r"preload = \[.*?\]", flags=re.DOTALL)
    return preload.sub('preload = ["numpy"]', general.replace("[python]", SETTINGS))


def send(service, slug, code, context=None):
    """The answer to one request."""
    payload = {"code": code, "globals_dict": {}, "slug": slug}
    if context:
        payload["limit_overrides_context"] = context
    return requests.post(f"{service}/api/v0/code-exec", data={"payload": json.dumps(payload)}, timeout=30)


def one_round(service):
    """Sends each problem as often as its entry says, one after the other; then too many at once."""
    for slug, (code, times, _, context) in PROBLEMS.items():
        for _ in range(times):
            assert send(service, slug, code, context).status_code == 200
    assert requests.post(f"{service}/api/v0/code-exec", data={"payload": "{"}, timeout=10).status_code == 400
    with ThreadPoolExecutor(AT_ONCE) as senders:
        slow = "import time; time.sleep(0.3)"
        statuses = list(senders.map(lambda _: send(service, "busy", slow).status_code, range(AT_ONCE)))
    assert set(statuses) == {200, 503}, statuses
    return {"refused": statuses.count(503), "busy": statuses.count(200)}


def expected_ends(rounds):
    """The number of executions by end, after these rounds."""
    ends = dict.fromkeys(ENDS, 0)
    for _, times, end, _ in PROBLEMS.values():
        ends[end] += times * len(rounds)
    ends["success"] += sum(done["busy"] for done in rounds)
    return ends


@contextmanager
def watched_service(directory):
    """Yields the address of the API and that of metrics."""
    with running_service(directory, configuration(), UID_BASE) as (service, log):
        found = [re.search(r"metrics and health on (127\.0\.0\.1:\d+)", line) for line in log.lines]
        address = next(match[1] for match in found if match)
        yield service, f"http://{address}"


def wait_until(what, seconds_max=30):
    """Calls `what` until it returns something, and returns that."""
    deadline = time.monotonic() + seconds_max
    while True:
        found = what()
        if found or time.monotonic() > deadline:
            assert found, f"not within {seconds_max} s: {what.__name__}"
            return found
        time.sleep(0.1)
