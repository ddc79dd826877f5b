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
    """Imports each of `names`. Returns the failures as (name, "ErrorType: message"), the function that
    each child calls before its job (it seeds all unseeded random generators anew, so that two children
    never share unseeded random state, and does what hooks at its fork would have: at_fork.py), and the
    top-level names of all modules that are loaded now.

    `first_of` is the worker's: see Shelf. The imports run in a context of their own: what a library
    sets there (decimal does) a run must not find.
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
    # A fresh interpreter has these too: what was there before, and what the runner imports.
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
    """Keeps the collector of each child off the warm objects, whose pages it would copy. The worker
    calls this last of all.
    """
    gc.collect()
    gc.freeze()
