"""Turns a job's two JSON texts into what `jailed_code` runs. Runs in the worker's private namespace."""

import json as request_json

try:
    import simplejson as json
except ImportError:
    import json


def load_job(code_text, globals_text, shallow):
    """The code, and the globals after the same straw that the answer passes.

    What comes from `json.loads` passes that straw as it is, but for the name that it holds back, unless it
    is so deep that the straw meets the recursion limit; `shallow` says that it is not.

    Raises ValueError or RecursionError for what Python's json refuses: an integer with too many
    digits, nesting that is too deep.
    """
    g_dict = request_json.loads(globals_text)
    if shallow and json is request_json:
        g_dict.pop("__builtins__", None)
    else:
        g_dict = json_safe(g_dict)  # noqa: F821
    return request_json.loads(code_text), g_dict


def rehearse():
    """Does once what every run does, ahead of the request and over globals of its own.

    A forked child meets each page that it writes to, and each of the interpreter's own pages, with a
    page fault. Most of what a small run touches it has touched after this.
    """
    code, globals_dict = load_job('"x = 1"', '{"a": [1, 1.5, "b", null, true]}', True)
    exec(code, globals_dict)
    globals_dict["f"] = compile("def f(): return 1 / 0", "<string>", "exec")
    json.dumps(json_safe(globals_dict))  # noqa: F821
    try:
        import codejail_rehearsal  # noqa: F401 - a search through the whole path that finds nothing
    except ImportError:
        pass
    gc.collect()  # noqa: F821 - imported by warm_up.py
