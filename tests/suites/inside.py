"""The code that each side executes: it lists the tests of a module, or runs some of them.

Globals in: `given`, a list of: a directory for the path or None; the module; names of tests, or None to list them;
the beginning of marks in a trace, or None. Globals out: `tests`, names, or `results`, by name [outcome,
message].
"""

import importlib
import io
import os
import sys
import tempfile
import unittest

SAID_CHARACTERS_MAX = 300

modules_at, module, wanted, mark = given  # noqa: F821 - a global of the request


def surroundings():
    """Makes what regrtest gives its tests: a directory to write to, streams with a buffer, no resources."""
    os.chdir("tmp")
    tempfile.tempdir = os.environ["TMPDIR"] = os.getcwd()
    sys.stdout = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    if modules_at:
        sys.path.insert(0, modules_at)
    from test import support

    support.use_resources = []
    support.verbose = 0


def tests_of(suite):
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from tests_of(each)
        else:
            yield each


def load():
    loaded = importlib.import_module(module)
    suite = unittest.defaultTestLoader.loadTestsFromModule(loaded)
    return {each.id(): each for each in tests_of(suite)}


class Result(unittest.TestResult):
    """The outcome by name. A test with subtests passes if all of its subtests pass."""

    def startTest(self, test):
        super().startTest(test)
        begin(test.id())

    def stopTest(self, test):
        super().stopTest(test)
        begin("between")

    def note(self, test, outcome, said=""):
        results.setdefault(test.id(), [outcome, str(said)[:SAID_CHARACTERS_MAX]])

    def failed(self, test, error):
        kind, value = error[:2]
        self.note(test, "failed", f"{kind.__name__}: {value}")

    def addSuccess(self, test):
        self.note(test, "passed")

    def addSkip(self, test, reason):
        self.note(test, "skipped", reason)

    def addExpectedFailure(self, test, error):
        self.note(test, "passed")

    def addUnexpectedSuccess(self, test):
        self.note(test, "failed", "it was expected to fail")

    addError = addFailure = failed

    def addSubTest(self, test, subtest, error):
        if error:
            self.failed(test, error)


def begin(name, look=os.access):
    """Makes a system call that marks in a trace which test begins."""
    if mark:
        look(f"/begin-{mark} {name}", os.F_OK)


tests, results = [], {}
surroundings()
begin("import")
try:
    found = load()
except unittest.SkipTest as reason:
    found = {}
    results[module] = ["skipped", str(reason)]
except Exception as error:
    found = {}
    results[module] = ["failed", f"{type(error).__name__}: {error}"[:SAID_CHARACTERS_MAX]]
if wanted is None:
    tests = list(found)
else:
    begin("between")
    unittest.TestSuite(found[name] for name in wanted if name in found).run(Result())
