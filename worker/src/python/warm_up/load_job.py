"""Turns a job's two JSON texts into what the runner (`jailed_code`) runs."""

import gc
import json as request_json

try:
    import simplejson as json
except ImportError:
    import json

_Function = type(lambda: None)


class JobLoader:
    """Loads a job in a sandbox. The author's code has no name by which it reaches this object."""

    def __init__(self, runner):
        """`runner` is the runner's compiled code. The input globals pass through `json_safe` of that
        code, as the answer does later. This object has a copy of the function with its own globals.
        """
        names = {"__builtins__": __builtins__, "json": json}
        for code in runner.co_consts:
            if isinstance(code, type(runner)):
                names[code.co_name] = _Function(code, names)
        self._json_safe = names["json_safe"]

    def load(self, code_text, globals_text, shallow):
        """The code, and the globals as `json_safe` leaves them.

        `json_safe` changes a result of `json.loads` in two cases only: it removes one name, and it
        meets the recursion limit where the nesting is very deep. `shallow` says that the nesting is
        not so deep. Then it is enough to remove the name.

        Raises ValueError or RecursionError for what Python's json refuses: an integer with too many
        digits, nesting that is too deep.
        """
        g_dict = request_json.loads(globals_text)
        if shallow and json is request_json:
            g_dict.pop("__builtins__", None)
        else:
            g_dict = self._json_safe(g_dict)
        return request_json.loads(code_text), g_dict

    def prefault(self):
        """Does once, before the request comes, what every run does. It uses globals of its own.

        A forked child has a page fault at its first write to each page, and at its first use of each
        page of the interpreter. After this function it has touched most pages that a small run touches.
        """
        code, globals_dict = self.load('"x = 1"', '{"a": [1, 1.5, "b", null, true]}', True)
        exec(code, globals_dict)
        globals_dict["f"] = compile("def f(): return 1 / 0", "<string>", "exec")
        json.dumps(self._json_safe(globals_dict))
        try:
            # This name does not exist, so the search goes through the whole path.
            __import__("codejail_prefault")
        except ImportError:
            pass
        gc.collect()
