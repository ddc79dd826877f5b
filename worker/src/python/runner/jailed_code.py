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

exec(code, g_dict)


# Tracebacks that authors can get quote lines of this file: those must read as they always did,
# names and all.
def json_safe(d):
    # The part of a dict that survives a round trip through JSON, as that round trip leaves it.
    ok_types = (type(None), int, float, bytes, str, list, tuple, dict)
    jd = {}
    for k, v in d.items():
        if not isinstance(v, ok_types):
            continue
        if k == "__builtins__":
            continue
        try:
            v = json.loads(json.dumps(decode_object(v)))
            k = json.loads(json.dumps(decode_object(k)))
        except Exception:
            continue
        jd[k] = v
    return json.loads(json.dumps(jd))


def decode_object(obj):
    # The same value with byte strings decoded, also inside containers; raises if one is not UTF-8.
    #
    # Loops and no comprehensions: before Python 3.12 these are frames too, and a value of half the
    # depth would meet the recursion limit.
    if isinstance(obj, bytes):
        return obj.decode("utf-8")
    if isinstance(obj, (list, tuple)):
        items = []
        for i in obj:
            new_obj = decode_object(i)
            items.append(new_obj)
        return items
    if isinstance(obj, dict):
        members = {}
        for k, v in obj.items():
            new_key = decode_object(k)
            new_value = decode_object(v)
            members[new_key] = new_value
        return members
    return obj


g_dict = json_safe(g_dict)

# One dumps and one write are four times as fast as a dump, which is Python code that writes piece
# by piece. Where they fail, dump does too, and it is dump's traceback that authors know.
try:
    sys.__stdout__.write(json.dumps(g_dict))
except Exception:
    dumped = False
else:
    dumped = True
if not dumped:
    json.dump(g_dict, sys.__stdout__)
