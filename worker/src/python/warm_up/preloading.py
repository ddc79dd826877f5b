"""Watches preloading: which module needs which, and what the import of each changes."""

import _frozen_importlib as _importlib
import _warnings
import atexit
import sys

from warm_up.at_fork import AtForkHooks
from warm_up.process_state import ProcessState, if_loaded
from warm_up.rng import SeedWatch

# The function that `warnings` calls when the filters change. In 3.14 it has another name.
_FILTERS_CHANGED = "_filters_mutated" if hasattr(_warnings, "_filters_mutated") else "_filters_mutated_lock_held"

# The flag by which weakref notes that it has registered with atexit, once for all finalizers.
_FINALIZERS = "_registered_with_atexit"


class Preloading:
    """Watches every load of a module, from the making of this object until `close()`. It notes which module
    needs which, which changes the process, and which registers what for the exit.
    """

    def __init__(self, load):
        self.needs = {}
        self._load = load
        self._stack = []
        self._open = True
        self._register = atexit.register
        self._finalizers = getattr(if_loaded("weakref", "finalize"), _FINALIZERS, False)
        self.state = ProcessState()
        self.watch = SeedWatch(self._current)
        self._at_fork = AtForkHooks(self._current)
        self._count_filters = self._note_filter_change()
        self._watch_filters()
        _importlib._load_unlocked = _hidden_from_tracebacks(self._load_and_note)
        atexit.register = self._note_exit_callback()

    def close(self):
        """Ends the watching. In all libraries, the real functions take the place of the stand-ins."""
        self._open = False
        _importlib._load_unlocked = self._load
        stand_ins = [(atexit.register, self._register), *self.watch.stand_ins, *self._at_fork.close()]
        stand_ins.append((self._count_filters, getattr(_warnings, _FILTERS_CHANGED)))
        atexit.register = self._register
        self.watch.close()
        real = {id(stand_in): value for stand_in, value in stand_ins}
        for namespace in [vars(m) for m in list(sys.modules.values()) if hasattr(m, "__dict__")]:
            for name in [name for name, value in namespace.items() if id(value) in real]:
                namespace[name] = real[id(namespace[name])]
        for owner, args, kwargs in self.watch.global_seeds:
            self.state.on_redo(owner, lambda a=args, k=kwargs: sys.modules["random"].seed(*a, **k))
        if "weakref" in sys.modules:
            setattr(sys.modules["weakref"].finalize, _FINALIZERS, self._finalizers)

    def _current(self):
        return self._stack[-1] if self._stack else None

    def _load_and_note(self, spec):
        name = spec.name
        self.state.settle(self._current())
        self.needs.setdefault(self._current(), {})[name] = True
        self._stack.append(name)
        try:
            module = self._load(spec)
            self.watch.loaded(name, module)
            if name == "warnings":
                self._watch_filters()
            return module
        finally:
            self.state.settle(name)
            self._stack.pop()
            self.needs.setdefault(name, self.needs.pop(name, {}))

    def _watch_filters(self):
        if "warnings" in sys.modules:
            setattr(sys.modules["warnings"], _FILTERS_CHANGED, self._count_filters)

    def _note_filter_change(self):
        """The stand-in for the function that counts the changes of the filters.

        Every `__warningregistry__` shows that count, and a run has one among its globals when a warning
        came up. The count can't be set back. So the changes that an import made are counted only when a
        run imports the module.
        """
        real = getattr(_warnings, _FILTERS_CHANGED)

        def count():
            if self._open:
                self.state.on_redo(self._current(), real)
            else:
                real()

        return count

    def _note_exit_callback(self):
        def register(func, *args, **kwargs):
            if not self._open:  # a library keeps this function where close() didn't find it
                return self._register(func, *args, **kwargs)
            if getattr(func, "__qualname__", None) == "finalize._exitfunc":
                self.state.on_redo(self._current(), _register_finalizers)
            else:
                self.state.on_redo(self._current(), lambda: self._register(func, *args, **kwargs))
            return func

        return register


def _register_finalizers():
    """Registers with atexit as weakref does, once for all finalizers of the process."""
    finalize = sys.modules["weakref"].finalize
    if not getattr(finalize, _FINALIZERS):
        atexit.register(finalize._exitfunc)
        setattr(finalize, _FINALIZERS, True)


def _hidden_from_tracebacks(method):
    """The method, with the file name of the import machinery. Python leaves frames of that file out of
    tracebacks, and the method is now a part of the machinery.
    """
    own_file = _importlib.ModuleSpec.__init__.__code__.co_filename
    method.__func__.__code__ = method.__func__.__code__.replace(co_filename=own_file)
    return method
