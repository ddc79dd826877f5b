"""Turns a job's two JSON texts into what `jailed_code` runs. Runs in the worker's private namespace."""

import json as request_json

try:
    import simplejson as json  # noqa: F401 - json_safe uses it
except ImportError:
    import json  # noqa: F401


def load_job(code_text, globals_text):
    """The code, and the globals after the same straw that the answer passes.

    Raises ValueError or RecursionError for what Python's json refuses: an integer with too many
    digits, nesting that is too deep.
    """
    return request_json.loads(code_text), json_safe(request_json.loads(globals_text))  # noqa: F821
