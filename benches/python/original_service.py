"""The original as a service: `safe_exec` of edx-codejail behind gunicorn. The application does what
codejail-service does with a request, and no more.

It is installed as its README says, with sudo, in a mount namespace of its own (tests/fidelity/original.py).
It is started in that namespace as root, with an order in JSON. It prints its port and serves until it is killed.
"""

import json
import logging
import socket
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
sys.path[:0] = [str(REPOSITORY / "tests/fidelity"), str(REPOSITORY / "tests/system/python_json")]
# The original's service has no simplejson either.
sys.modules["simplejson"] = None

import gunicorn.app.base

# Gunicorn would import these two later, when this process may no longer read this venv.
import gunicorn.glogging
import gunicorn.workers.sync
import jsonschema
from codejail.safe_exec import SafeExecException, safe_exec
from multipart import parse_form_data
from original import become_caller
from python_json import SCHEMA

# The largest globals that are measured have 10 MB, and a form makes them longer.
BODY_BYTES_MAX = 64 << 20

LIBRARY = "python_lib.zip"

PAYLOAD = jsonschema.Draft202012Validator(SCHEMA)


def application(environ, start_response):
    status, answer = answer_to(environ)
    body = json.dumps(answer).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def answer_to(environ):
    if environ["PATH_INFO"] != "/api/v0/code-exec":
        return "404 Not Found", {}
    form, files = parse_form_data(environ, strict=True, memory_limit=BODY_BYTES_MAX)
    try:
        payload = json.loads(form["payload"])
        PAYLOAD.validate(payload)
    except (KeyError, ValueError, jsonschema.ValidationError) as error:
        return "400 Bad Request", {"error": str(error)}
    python_path = payload.get("python_path") or []
    if set(python_path) - {LIBRARY} or set(files) - {LIBRARY} or payload.get("unsafely"):
        return "400 Bad Request", {"error": "not allowed"}
    return "200 OK", execution(payload, python_path, [(LIBRARY, files[LIBRARY].raw)] if LIBRARY in files else [])


def execution(payload, python_path, extra_files):
    """The answer. If the run fails, it has the globals as they came."""
    globals_dict = payload["globals_dict"].copy()
    try:
        safe_exec(
            payload["code"],
            globals_dict,
            python_path=python_path,
            extra_files=extra_files,
            limit_overrides_context=payload.get("limit_overrides_context"),
            slug=payload.get("slug"),
        )
    except SafeExecException as error:
        return {"globals_dict": payload["globals_dict"], "emsg": str(error)}
    except Exception as error:
        print(f"original: {type(error).__name__}: {error}", file=sys.stderr)
        return {"globals_dict": payload["globals_dict"], "emsg": "Couldn't execute sandboxed code: See logs."}
    return {"globals_dict": globals_dict}


class Service(gunicorn.app.base.BaseApplication):
    """Gunicorn with its defaults, except the number of workers."""

    def __init__(self, order, listener):
        self._options = {
            "workers": order["workers"],
            # The user of this process. By default gunicorn takes the user that it was started as.
            "user": order["app"],
            "group": order["app"],
            "bind": f"fd://{listener.fileno()}",
            "worker_tmp_dir": "/dev/shm",
            "loglevel": "error",
        }
        super().__init__()

    def load_config(self):
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self):
        return application


def main(order):
    logging.disable(logging.WARNING)
    become_caller(order)
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(listener.getsockname()[1], flush=True)
    Service(order, listener).run()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
