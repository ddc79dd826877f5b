"""Which preloaded modules a run must import before it sees them, and how its `import` finds them."""

import _frozen_importlib as _importlib
import os
import sys

from warm_up.late_random import LateRandom
from warm_up.on_return import ON_RETURN

_METHODS = (type([].append), type((lambda self: None).__get__(0)))


class Shelf:
    """The preloaded modules that a run must import before it sees them.

    Not all loaded modules are kept back: to put a module back writes to pages that the child shares
    with the worker, which takes 3 to 10 us for each. A module is kept back if its import has something
    to do again (names of `random` to bind, changes of the process). Of the modules that import such
    modules, packages and their direct members are kept back too.
    """

    def __init__(self, preloading, visible, first_of):
        """`visible`: names that stay in `sys.modules`. `first_of(one, other)` makes a function that calls
        `one`, and `other` if `one` returns None. That function appears in no traceback.
        """
        self._state = preloading.state
        self._needs = {n: needs for n, needs in preloading.needs.items() if n in sys.modules}
        self._drop_parts_of_failed_packages()
        loaded = {name: sys.modules[name] for name in self._needs if name not in visible}
        self._add_references(loaded)
        real = sys.modules["random"]
        self._random = LateRandom(real, loaded, preloading.watch.created())
        active = {"random", *ON_RETURN, *self._random.owners(), *self._state.owners()}
        self._keep_back(loaded, active)
        self._meta_path = list(sys.meta_path)
        self._path = sys.path[1:]
        self._load, self._find = _importlib._load_unlocked, _importlib._find_spec
        _importlib._load_unlocked = first_of(self._taken, self._load)
        _importlib._find_spec = first_of(self._known, self._find)

    def _known(self, name, path, target=None):
        """The spec of a module that a search would find again. Without the search the run saves 0.4 ms, if
        its process has not searched before.
        """
        if name in self._modules and self._finds_the_same():
            return getattr(self._modules[name], "__spec__", None)
        return None

    def _finds_the_same(self):
        """Whether a search would find what preloading found. The first directory of the path is the run's
        own, where the run can write only below tmp/.
        """
        return (
            sys.meta_path == self._meta_path
            and sys.path[1 : len(self._path) + 1] == self._path
            and sys.path[0] == _working_directory()
        )

    def _taken(self, spec):
        """Returns the module from the shelf. It is called instead of the last step of the import system, which
        knows by then the file that it would execute. Returns None if that step must be taken.
        """
        module = self._modules.get(spec.name)
        if module is None or not _is_same(spec, module):
            return None
        if self._needs_another(spec.name) or not self._take_all(spec.name):
            self._modules.pop(spec.name, None)
            return None
        return sys.modules[spec.name]

    def _needs_another(self, name):
        """Whether the run has replaced a module that `name` imports, or has put another module of that name
        in front of it on the path. A replaced `random` doesn't count, because it is bound anew. But if
        it is None, it counts.
        """
        missing = [n for n in self._closures[name] if n != name and n in self._modules]
        for brought in missing:
            if brought in sys.modules and (brought != "random" or sys.modules[brought] is None):
                return True
        if self._finds_the_same():
            return False
        for brought in missing:
            if "." not in brought and brought not in sys.modules:
                spec = self._find(brought, None)
                if spec is None or not _is_same(spec, self._modules[brought]):
                    return True
        return False

    def _take_all(self, name):
        """Brings back `name` and all that its import brings. Returns whether that worked. If the surroundings
        of the run don't allow it, the import itself must run, and fails with its own error.
        """
        new = self._random.replacement()
        for brought in self._closures[name]:
            if brought in self._modules:
                try:
                    self._take(brought, new)
                except Exception:
                    for failed in (brought, name):
                        sys.modules.pop(failed, None)
                        self._modules.pop(failed, None)
                    return False
        return True

    def _take(self, name, new_random):
        if new_random is not None:
            self._random.rebind(name, new_random)
        module = self._modules.pop(name)
        sys.modules.setdefault(name, module)
        self._state.redo(name)
        if name in ON_RETURN:
            ON_RETURN[name](module)

    def _drop_parts_of_failed_packages(self):
        """Drops loaded parts of packages whose import failed: a run that imports such a package must start
        from the beginning.
        """
        for name in sorted(self._needs, key=len):
            parent = name.rpartition(".")[0]
            if parent and parent not in sys.modules:
                del sys.modules[name], self._needs[name]

    def _add_references(self, loaded):
        """Adds needs that were not seen. If a module was loaded before another one needed it, the names of
        the other one show that.
        """
        names = {id(module): name for name, module in loaded.items()}
        for name, module in loaded.items():
            parent = name.rpartition(".")[0]
            values = list(getattr(module, "__dict__", {}).values())
            for other in (parent, *(_origin(value, names) for value in values)):
                if other in loaded and other != name and not other.startswith(name + "."):
                    self._needs[name][other] = True

    def _keep_back(self, loaded, active):
        """Sets `_closures`: for each module that is kept back, all modules that its import brings, in the
        order of their first loads.
        """
        leading = self._leading_to(active & loaded.keys(), loaded)
        names = [name for name in leading if name in active or _is_entrance(name, loaded[name])]
        bits = {name: 1 << index for index, name in enumerate(names)}
        brings = {name: bits.get(name, 0) for name in loaded}
        changed = True
        while changed:
            changed = False
            for name in loaded:
                union = brings[name]
                for other in self._needs[name]:
                    union |= brings.get(other, 0)
                if union != brings[name]:
                    brings[name], changed = union, True
        # New strings lie together in memory. The modules' own strings lie in many places.
        names = [name.encode().decode() for name in names]
        self._closures = {n: tuple(o for o in names if bits[o] & brings[n]) for n in names}
        self._modules = {name: sys.modules.pop(name) for name in names}

    def _leading_to(self, active, loaded):
        """The names of all modules that need one of `active`, in the order of their loads."""
        users = {}
        for name in loaded:
            for other in self._needs[name]:
                users.setdefault(other, []).append(name)
        found, pending = set(active), list(active)
        while pending:
            for user in users.get(pending.pop(), ()):
                if user not in found:
                    found.add(user)
                    pending.append(user)
        return [name for name in loaded if name in found]


def _working_directory():
    try:
        return os.getcwd()
    except OSError:  # the run has removed it
        return None


def _is_entrance(name, module):
    """Whether a module is kept back only because it leads to others. The parts of a package without a file
    look for the package in sys.modules, so all of them are taken out and come back together.
    """
    path = getattr(module, "__path__", ())
    return name.count(".") < 2 or not isinstance(path, (list, tuple))


def _is_same(spec, module):
    """Whether `spec` is the spec of `module`. The run may have put another module of that name in front."""
    own = getattr(module, "__spec__", None)
    return own is None or own.origin == spec.origin


def _origin(value, names):
    if id(value) in names:
        return names[id(value)]
    if isinstance(value, _METHODS):  # such as `random.choice`
        value = type(value.__self__)
    return value.__module__ if type(value) in (type, type(_origin)) else None
