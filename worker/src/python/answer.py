g_dict = json_safe(g_dict)

# One dumps and one write are four times as fast as a dump, which is Python code that writes piece by
# piece. Where they fail, dump does too, and it is dump's traceback that authors know.
try:
    sys.__stdout__.write(json.dumps(g_dict))
except Exception:
    dumped = False
else:
    dumped = True
if not dumped:
    json.dump(g_dict, sys.__stdout__)
