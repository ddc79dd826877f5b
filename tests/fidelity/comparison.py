"""Executes a case on all sides, and compares the answers."""

import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from difflib import unified_diff

import requests
from course_libraries import LIBRARIES, library
from original import Original
from running_service import SANDBOX_PYTHON, UID_COUNT, development_configuration, running_service

# Wide limits, for a busy machine. Contexts have the limits that cases are about. REALTIME is in
# seconds.
LIMITS = {"CPU": 20, "REALTIME": 25}
OVERRIDES = {
    "short": {"CPU": 1, "REALTIME": 1},
    "cpu": {"CPU": 1},
    "realtime": {"REALTIME": 1},
    "files": {"FSIZE": 1_000_000},
    "some bytes": {"FSIZE": 10},
    "memory": {"VMEM": 1_000_000_000},
    "few": {"NPROC": 3},
}
# Preloaded in addition to what a developer's service preloads: the rest of
# deploy/requirements/verawood-python3.11.txt, parts of it that are not imported by themselves, and
# what of the standard library has a state of its own.
ALSO_PRELOADED = (
    "scipy.stats scipy.optimize scipy.integrate scipy.interpolate matplotlib.pyplot sympy.stats "
    "networkx.algorithms.community.lukes nltk.lm.api lxml.html lxml_html_clean cffi click contourpy cycler fontTools "
    "joblib kiwisolver markupsafe mpmath packaging.version PIL.Image pycparser.c_parser dateutil.parser regex tqdm "
    "cryptography.fernet cryptography.hazmat.primitives.asymmetric.ec "
    "tempfile uuid secrets statistics email.utils logging decimal sqlite3 ssl multiprocessing asyncio"
).split()
# Other uids than those of the client's tests, whose service may run in the same session.
UID_BASE = 349_700_000

# A library is compiled in milliseconds on an idle machine.
COMPILATION_SECONDS_MAX = 60

# So many characters of each difference are shown: enough to see what it is.
SHOWN_LINES_MAX = 40
SHOWN_CHARACTERS_MAX = 2000

# The random part of the scratch directory's name, and the line of the runner that executes the
# author's code.
SCRATCH = re.compile(r"/tmp/codejail-\w{8}(?!\w)")
RUNNER_LINE = re.compile(r"([/\"]jailed_code\\*\", line )\d+")


class Sides:
    """Three sides: the original; our service with the usual libraries preloaded and all course libraries
    compiled; our service with neither.
    """

    def __init__(self, original, services):
        self._original = original
        self._services = services
        self._threads = ThreadPoolExecutor(1 + len(services))

    def answers(self, case):
        """The answer of each side, in the form in which answers are compared."""
        request = {
            "code": case.code,
            "globals": case.globals,
            "python_path": case.python_path,
            "context": case.context,
            "library": library(case.library).hex() if case.library else None,
        }
        asked = {"original": self._threads.submit(self._original.execute, request)}
        for name, address in self._services.items():
            asked[name] = self._threads.submit(ask, address, request)
        return {name: normalised(*answer.result()) for name, answer in asked.items()}

    def ask(self, name, case):
        """The answer of one service."""
        request = {"code": case.code, "globals": case.globals, "python_path": False, "context": case.context}
        return ask(self._services[name], {**request, "library": None})


@contextmanager
def sides(directory, python=SANDBOX_PYTHON, uids_from=UID_BASE):
    """Starts all sides. `directory` is for their files; the uids of the services begin at `uids_from`."""
    with ExitStack() as stack:
        services = {}
        for index, name in enumerate(["warm", "fresh"]):
            (directory / name).mkdir()
            uid_base = uids_from + index * UID_COUNT
            text = configuration(uid_base, python, preload=name == "warm")
            address, _ = stack.enter_context(running_service(directory / name, text, uid_base))
            services[name] = address
        send_all_libraries(services["warm"])
        original = Original(python, LIMITS, OVERRIDES)
        stack.callback(original.close)
        yield Sides(original, services)


def send_all_libraries(address):
    """Sends each at least twice, until it is compiled or can't be: then every case gets bytecode."""
    names = [*LIBRARIES, "garbage", "half"]
    for name in names:
        request = {"code": "", "globals": "{}", "python_path": True, "context": None, "library": library(name).hex()}
        ask(address, request)
        # Only so many libraries may wait for their compilation.
        deadline = time.monotonic() + COMPILATION_SECONDS_MAX
        while known_libraries(address) <= names.index(name):
            assert time.monotonic() < deadline, f"{name} is not compiled"
            ask(address, request)
            time.sleep(0.01)


def known_libraries(address):
    """How many were compiled, or could not be compiled."""
    text = requests.get(f"{address}/metrics", timeout=10).text
    counted = re.findall(r"^codejail_library_cache_(?:compiled|failed)_total (\d+)$", text, re.MULTILINE)
    return sum(map(int, counted))


def configuration(uid_base, python, preload):
    """The developer's configuration with these limits. Without `preload` nothing is preloaded or compiled."""
    text = development_configuration(uid_base, python)
    modules = re.search(r"preload = \[(.*?)\]", text, re.DOTALL)
    more = "".join(f'"{name}",' for name in ALSO_PRELOADED)
    text = text.replace(modules[0], f"preload = [{modules[1]}{more}]" if preload else "preload = []")
    if not preload:
        text += "\n[library_cache]\nbytes_max = 0\n"
    tables = {"limits": LIMITS, **{f'limit_overrides."{name}"': limits for name, limits in OVERRIDES.items()}}
    for name, table in tables.items():
        text += f"\n[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in table.items())
    # A run of the other side may keep the machine busy for seconds.
    return "queue_wait_max_ms = 60000\n" + text


def ask(address, request):
    """A service's answer: globals as JSON text and emsg, or the status and body of an error."""
    payload = {
        "code": request["code"],
        "python_path": ["python_lib.zip"] if request["python_path"] else None,
        "limit_overrides_context": request["context"],
    }
    # The globals stay the text of the case: this Python must not read and write them.
    body = json.dumps(payload)[:-1] + f', "globals_dict": {request["globals"]}}}'
    files = {"python_lib.zip": bytes.fromhex(request["library"])} if request["library"] else None
    response = requests.post(f"{address}/api/v0/code-exec", data={"payload": body}, files=files, timeout=120)
    if response.status_code != 200:
        return "{}", f"HTTP {response.status_code}: {response.text}"
    answer = json.loads(response.text)
    return json.dumps(answer["globals_dict"]), answer.get("emsg")


def normalised(globals_text, emsg):
    """An answer as text: values with their types, in one order, without what differs in every run."""
    value = json.loads(globals_text)
    text = f"{json.dumps(value, sort_keys=True, indent=1)}\nemsg: {json.dumps(emsg)}"
    return RUNNER_LINE.sub(r"\1N", SCRATCH.sub("/tmp/codejail-XXXXXXXX", text))


def judge(case, answers):
    """The verdict: "agrees", "differs on purpose", or what is wrong."""
    original, warm, fresh = answers["original"], answers["warm"], answers["fresh"]
    if case.differs is None:
        if warm != fresh:
            return show(case, answers, "the warm interpreter is not as the fresh one")
        return "agrees" if original == warm else show(case, answers, "not as the original")
    if original == warm == fresh:
        return show(case, answers, f"does not differ any more ({case.differs})")
    if case.ours not in warm or case.ours not in fresh:
        return show(case, answers, f"differs in another way than {case.ours!r}")
    return "differs on purpose"


def show(case, answers, why):
    """Says what is wrong, and how each service's answer differs from the original's."""
    lines = [f"{case.name}: {why}"]
    original = answers["original"].splitlines()
    for name in ("warm", "fresh"):
        difference = list(unified_diff(original, answers[name].splitlines(), "original", name, n=1, lineterm=""))
        lines += ["  " + line[:SHOWN_CHARACTERS_MAX] for line in difference[:SHOWN_LINES_MAX]]
    return "\n".join(lines)


def version_of(python):
    """The version of this Python: (3, 11)."""
    code = "import sys; print(*sys.version_info[:2])"
    return tuple(map(int, subprocess.check_output([python, "-c", code], encoding="ascii").split()))


def can_run():
    """None, or why this host has no original."""
    if os.geteuid() != 0:
        return "only root can become the original's users, in a mount namespace of their own"
    if sys.platform != "linux":
        return "only Linux has sandboxes"
    return None
