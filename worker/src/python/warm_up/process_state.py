"""The things outside of its own module that an import can change: in the process or in other modules."""

import _locale
import _warnings
import gc
import os
import sys

# Attributes that libraries replace. If a module isn't loaded yet, the values that its attributes
# have right after its load count as their first values.
_ATTRIBUTES = {
    "sys": "stdin stdout stderr excepthook displayhook unraisablehook breakpointhook",
    "builtins": "__import__ __build_class__ open print input",
    "warnings": "showwarning formatwarning",
    "threading": "excepthook",
    "logging": "raiseExceptions lastResort",
    "tempfile": "tempdir _name_sequence",
    "uuid": "_node _last_timestamp",
}

# Lists that libraries add to.
_LISTS = {
    ("sys", "path"): sys.path,
    ("sys", "argv"): sys.argv,
    ("sys", "meta_path"): sys.meta_path,
    ("sys", "path_hooks"): sys.path_hooks,
    ("warnings", "filters"): _warnings.filters,
}

_ABSENT = object()


def if_loaded(module, attribute):
    """This attribute of a module in `sys.modules`; None without it."""
    return getattr(sys.modules.get(module), attribute, None)


def _umask():
    current = os.umask(0)
    os.umask(current)
    return current


def _decimal_context():
    read = if_loaded("decimal", "getcontext")
    return read and read().__reduce__()


def _logging_root():
    root = if_loaded("logging", "root")
    return root and (root.level, root.disabled, tuple(root.handlers))


def _set_logging_root(value):
    root = sys.modules["logging"].root
    root.setLevel(value[0])
    root.disabled, root.handlers[:] = value[1], value[2]


def _socket_timeout():
    read = if_loaded("socket", "getdefaulttimeout")
    return read and (read(),)


# For state that the process keeps, or that only functions reach: how to read it, and how to set it
# again. None means that it isn't there yet.
_SETTINGS = {
    "recursion limit": (sys.getrecursionlimit, sys.setrecursionlimit),
    "switch interval": (sys.getswitchinterval, sys.setswitchinterval),
    "gc threshold": (gc.get_threshold, lambda value: gc.set_threshold(*value)),
    "gc enabled": (gc.isenabled, lambda value: gc.enable() if value else gc.disable()),
    "locale": (
        lambda: _locale.setlocale(_locale.LC_ALL, None),
        lambda v: _locale.setlocale(_locale.LC_ALL, v),
    ),
    "working directory": (os.getcwd, os.chdir),
    "umask": (_umask, os.umask),
    "decimal context": (_decimal_context, lambda v: sys.modules["decimal"].setcontext(v[0](*v[1]))),
    "logging root": (_logging_root, _set_logging_root),
    "socket timeout": (_socket_timeout, lambda v: sys.modules["socket"].setdefaulttimeout(*v)),
}


class ProcessState:
    """Which import made which changes. All changes are undone once. Later the changes of one import can be
    made again.
    """

    def __init__(self):
        import _signal

        self._signal = _signal
        self._baseline = self._last = self._read()
        self._changes = {}
        self._steps = {}

    def settle(self, owner):
        """Notes every change since the last call as a change of the import of `owner`."""
        now, last = self._read(), self._last
        changes = self._changes.setdefault(owner, {})
        for key in now.keys() | last.keys() if now != last else ():
            before, after = last.get(key, _ABSENT), now.get(key, _ABSENT)
            if before is _ABSENT and key[0] != "environ":
                self._baseline[key] = after  # an attribute of a module that was just loaded
            elif before is not after and before != after:
                changes[key] = (changes.get(key, (before,))[0], after)
        self._last = now

    def on_redo(self, owner, step):
        """Adds `step()` to what is done again for the import of `owner`."""
        self._steps.setdefault(owner, []).append(step)

    def undo(self):
        """Sets everything as it was before the first import."""
        now = self._read()
        for key in now.keys() | self._baseline.keys():
            before = self._baseline.get(key, _ABSENT)
            if before is not now.get(key, _ABSENT) and before != now.get(key, _ABSENT):
                self._set(key, before)
        for key, values in _LISTS.items():
            if key[0] in sys.modules:
                setattr(sys.modules[key[0]], key[1], values)
        _restore_c_environment()
        _warnings._onceregistry.clear()

    def owners(self):
        """The modules whose imports have something to do again. A change that the same import has taken back
        does not count.
        """
        for owner, changes in list(self._changes.items()):
            for key, (before, after) in list(changes.items()):
                if before == after:
                    del changes[key]
            if not changes:
                del self._changes[owner]
        return self._changes.keys() | self._steps.keys()

    def redo(self, owner):
        """Makes the changes of the import of `owner` again, for the first and only time."""
        for key, (before, after) in self._changes.pop(owner, {}).items():
            if key in _LISTS:
                _extend_as(_LISTS[key], before, after)
            else:
                self._set(key, after)
        for step in self._steps.pop(owner, ()):
            step()

    def _read(self):
        state = {("environ", name): value for name, value in os.environ.items()}
        state.update((key, tuple(values)) for key, values in _LISTS.items())
        settings = ((name, read()) for name, (read, _) in _SETTINGS.items())
        state.update((("setting", name), value) for name, value in settings if value is not None)
        numbers = range(1, self._signal.NSIG)
        state.update((("signal", number), self._signal.getsignal(number)) for number in numbers)
        for name, attributes in _ATTRIBUTES.items():
            module = sys.modules.get(name)
            for attribute in attributes.split():
                if hasattr(module, attribute):
                    state[name, attribute] = getattr(module, attribute)
        return state

    def _set(self, key, value):
        kind, name = key
        if kind == "environ":
            os.environ.pop(name, None) if value is _ABSENT else os.environ.__setitem__(name, value)
        elif key in _LISTS:
            _LISTS[key][:] = value
        elif kind == "setting":
            _SETTINGS[name][1](value)
        elif kind != "signal":
            setattr(sys.modules[kind], name, value)
        elif value is not None:  # None: the handler was set from C, and can't be set from here
            self._signal.signal(name, value)


def _extend_as(values, before, after):
    """Adds to `values` what an import had added: `before` became `after`. What `after` has in front of the items of
    `before` goes to the front, the rest to the end.
    """
    front = next((i for i, value in enumerate(after) if value in before), 0)
    for value in [value for value in after if value not in before and value in values]:
        values.remove(value)
    values[:0] = after[:front]
    values += [value for value in after[front:] if value not in before]


def _restore_c_environment():
    """Gives libc the environment of os.environ. A library that is written in C may have changed libc's environment
    by setenv(), and os.environ does not show such a change.
    """
    try:
        from ctypes import CDLL, POINTER, c_char_p

        entries = POINTER(c_char_p).in_dll(CDLL(None), "environ")
    except Exception:  # this Python has no ctypes, or doesn't export its C library
        return
    index, seen = 0, {}
    while entries[index] is not None:
        name, _, value = entries[index].partition(b"=")
        seen[name] = value
        index += 1
    expected = {os.fsencode(name): os.fsencode(value) for name, value in os.environ.items()}
    for name in seen.keys() - expected.keys():
        os.unsetenv(name)
    for name, value in expected.items():
        if seen.get(name) != value:
            os.putenv(name, value)
