"""Runs one piece of code over its globals. `code` and `g_dict` are set before this file runs."""

import sys

import six

try:
    import simplejson as json
except ImportError:
    import json


class DevNull(object):
    """Where print goes: the answer alone belongs on the real standard output."""

    def write(self, *args, **kwargs):
        pass

    def flush(self, *args, **kwargs):
        pass


sys.stdout = DevNull()

exec(code, g_dict)
