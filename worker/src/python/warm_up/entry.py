"""What a worker calls once: warm up, then freeze."""

import _frozen_importlib as _importlib
import gc
import os
import sys

from warm_up.at_fork import renewal
from warm_up.imports import import_one, preload
from warm_up.preloading import Preloading
from warm_up.rng import RngRegistry
from warm_up.shelf import Shelf


def warm_up(names, first_of):
    """Imports each of `names`. Returns three things:

    - the failures as (name, "ErrorType: message")
    - the function that each child calls before its job. It seeds all unseeded random generators
      anew, so that two children never share unseeded random state. It also does the work of the
      hooks that Python calls at a fork (at_fork.py).
    - the top-level names of all modules that are loaded now

    The worker passes `first_of`; Shelf says what it does. The imports run in a `contextvars` context
    of their own: a run must not find what a library sets there (decimal does).
    """
    known = "_contextvars" in sys.modules
    from _contextvars import Context

    if not known:
        del sys.modules["_contextvars"]
    return Context().run(_warm_up, names, first_of)


def _warm_up(names, first_of):
    failures = import_one("six")
    if import_one("simplejson"):
        failures += import_one("json")
    # Names that a run also finds in a fresh interpreter: what was loaded before this function, and
    # what the runner imports.
    visible = frozenset(sys.modules)
    preloading = Preloading(_importlib._load_unlocked)
    try:
        failures += import_one("random") + preload(names)
        preloading.state.undo()
    finally:
        preloading.close()
    registry, renew = RngRegistry(preloading.watch), renewal()
    loaded = {name.partition(".")[0] for name in sys.modules}
    Shelf(preloading, visible, first_of)

    def make_own():
        renew()
        registry.reseed(os.urandom)

    return failures, make_own, loaded


def freeze():
    """Keeps the garbage collector of each child away from the warm objects: it would copy their pages.
    The worker calls this last of all.
    """
    gc.collect()
    gc.freeze()
