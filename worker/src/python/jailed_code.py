# Runs one piece of code over its globals: this part before there is a job, then `code` and `g_dict`
# are set, and the path may get a course library, which can't replace what is imported here.

import sys

import six

try:
    import simplejson as json
except ImportError:
    import json


class DevNull(object):
    # Where print goes: the answer alone belongs on the real standard output.

    def write(self, *args, **kwargs):
        pass

    def flush(self, *args, **kwargs):
        pass


sys.stdout = DevNull()
