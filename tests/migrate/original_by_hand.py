"""The original on a host, as its documentation says: its settings are a YAML file, its caller may become the user
`sandbox` by sudo. The application is the one of `make bench`. Gunicorn imports this module."""

import os
import sys
from pathlib import Path

import yaml

CLONE = Path(__file__).parents[2]
sys.path[:0] = [str(CLONE / "benches/python")]
from codejail import jail_code
from original_service import application

__all__ = ["application"]

with open(os.environ["CODEJAIL_SERVICE_CFG"], encoding="utf-8") as stream:
    CODE_JAIL = yaml.safe_load(stream)["CODE_JAIL"]

jail_code.configure("python", CODE_JAIL["python_bin"], user=CODE_JAIL["user"])
for name, value in CODE_JAIL["limits"].items():
    jail_code.set_limit(name, value)
for context, limits in CODE_JAIL.get("limit_overrides", {}).items():
    for name, value in limits.items():
        jail_code.override_limit(name, value, context)
