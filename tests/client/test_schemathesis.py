"""schemathesis makes requests from the service's description of the API. No answer may differ from it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import requests

PROGRAM = Path(sys.executable).with_name("schemathesis")
HOOKS = Path(__file__).with_name("schemathesis_hooks.py")

# So many requests for each of the 13 operations; with those that cover the schema some 150.
EXAMPLES_MAX = 10
SECONDS_MAX = 300

ARGUMENTS = [
    "--phases=coverage,fuzzing",
    f"--max-examples={EXAMPLES_MAX}",
    "--seed=1",
    "--generation-database=none",
    "--continue-on-failure",
    "--no-color",
    # In a multipart body schemathesis 4.32.5 takes a string for a violation of "string or null".
    # tests/system/contract tests that wrong data is refused, and with which words.
    "--exclude-checks=negative_data_rejection",
]


def schemathesis(directory, *arguments):
    """The exit status of schemathesis, and its output."""
    done = subprocess.run(
        [PROGRAM, "run", *arguments, *ARGUMENTS],
        cwd=directory,
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=SECONDS_MAX,
    )
    return done.returncode, done.stdout


def test_schemathesis_finds_nothing_that_the_description_does_not_say(service, tmp_path):
    status, said = schemathesis(tmp_path, f"{service}/api/v0/openapi.json")
    assert status == 0, said
    assert "No issues found" in said, said


def test_schemathesis_finds_an_answer_that_is_not_described(service, tmp_path):
    document = requests.get(f"{service}/api/v0/openapi.json", timeout=10).json()
    del document["paths"]["/health/"]["get"]["responses"]["200"]
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    status, said = schemathesis(tmp_path, str(file), f"--url={service}", "--include-path=/health/")
    assert status == 1, said
    assert "Undocumented status code" in said, said
