"""Imports the operator's libraries ahead of time, so that a run's own `import` of one finds it
done.

A run must not be able to tell. So what a module's import changed in the process (warning filters,
environment, atexit callbacks, ...) is undone after preloading and the modules leave `sys.modules`
(`Shelf` says which). When the run imports one, it comes back with all that its import had loaded,
what its import had changed is done again, and what it holds of `random` is bound anew
(late_random.py): the same result as an import there and then, in a millisecond. That also
decides about atexit: a library's callback runs at the end of the runs that import it, and of no
other.

Executed after late_random.py and rng.py in one dict, in a worker that nobody has sent anything yet.
Only modules that are built into the interpreter are imported up here: they need no others, so
taking them away again is exact.
"""

import _frozen_importlib as _importlib
import _locale
import _thread
import _warnings
import atexit
import gc
import os
import sys
from time import sleep

# What the left one's users reach next takes long to load: the font manager reads every font of the
# system.
_ALSO = {"matplotlib": ("matplotlib.font_manager",)}

# A thread that is about to end may; one that stays makes forking unsafe.
_THREAD_GRACE_S = 0.2

# Attributes that libraries replace. A module that isn't loaded yet counts from when it is.
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

# What `warnings` calls when the filters change: 3.14 has another name for it.
_FILTERS_CHANGED = "_filters_mutated" if hasattr(_warnings, "_filters_mutated") else "_filters_mutated_lock_held"

# weakref's note that it asked atexit once for all finalizers.
_FINALIZERS = "_registered_with_atexit"


def _if_loaded(module, attribute):
    return getattr(sys.modules.get(module), attribute, None)


def _umask():
    current = os.umask(0)
    os.umask(current)
    return current


def _decimal_context():
    read = _if_loaded("decimal", "getcontext")
    return read and read().__reduce__()


def _logging_root():
    root = _if_loaded("logging", "root")
    return root and (root.level, root.disabled, tuple(root.handlers))


def _set_logging_root(value):
    root = sys.modules["logging"].root
    root.setLevel(value[0])
    root.disabled, root.handlers[:] = value[1], value[2]


def _socket_timeout():
    read = _if_loaded("socket", "getdefaulttimeout")
    return read and (read(),)


# How to read, and how to set again, what is kept by the process or behind functions. None: not
# there yet.
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
    """What an import can change beyond its own module: who changed what, undone once, done again on
    demand.
    """

    def __init__(self):
        import _signal

        self._signal = _signal
        self._baseline = self._last = self._read()
        self._changes = {}
        self._steps = {}

    def settle(self, owner):
        """Whatever changed since the last call was done by the import of `owner`."""
        now, last = self._read(), self._last
        changes = self._changes.setdefault(owner, {})
        for key in now.keys() | last.keys() if now != last else ():
            before, after = last.get(key, _ABSENT), now.get(key, _ABSENT)
            if before is _ABSENT and key[0] != "environ":
                self._baseline[key] = after  # it belongs to a module that was just loaded
            elif before is not after and before != after:
                changes[key] = (changes.get(key, (before,))[0], after)
        self._last = now

    def on_redo(self, owner, step):
        self._steps.setdefault(owner, []).append(step)

    def undo(self):
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
        """Who has something to do again; what an import set and took back is no change."""
        for owner, changes in list(self._changes.items()):
            for key, (before, after) in list(changes.items()):
                if before == after:
                    del changes[key]
            if not changes:
                del self._changes[owner]
        return self._changes.keys() | self._steps.keys()

    def redo(self, owner):
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
        elif value is not None:  # a handler that was set from C can't be set from here
            self._signal.signal(name, value)


def _extend_as(values, before, after):
    """What was put in front of `before` goes to the front, what was appended to the end."""
    front = next((i for i, value in enumerate(after) if value in before), 0)
    for value in [value for value in after if value not in before and value in values]:
        values.remove(value)
    values[:0] = after[:front]
    values += [value for value in after[front:] if value not in before]


def _restore_c_environment():
    """A C library may have called setenv(), which os.environ doesn't see."""
    try:
        from ctypes import CDLL, POINTER, c_char_p

        entries = POINTER(c_char_p).in_dll(CDLL(None), "environ")
    except Exception:  # a Python without ctypes, or one that doesn't export its C library
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


class Preloading:
    """Watches every module load: which needs which, who changes the process, who asks for what at
    exit.
    """

    def __init__(self, load):
        self.needs = {}
        self._load = load
        self._stack = []
        self._open = True
        self._register = atexit.register
        self._finalizers = getattr(_if_loaded("weakref", "finalize"), _FINALIZERS, False)
        self.state = ProcessState()
        self.watch = SeedWatch(self._current)  # noqa: F821
        self._count_filters = self._note_filter_change()
        self._watch_filters()
        _importlib._load_unlocked = _hidden_from_tracebacks(self._load_and_note)
        atexit.register = self._note_exit_callback()

    def close(self):
        """No library may keep what stood in for the real thing while it was loaded."""
        self._open = False
        _importlib._load_unlocked = self._load
        stand_ins = [(atexit.register, self._register), *self.watch.stand_ins]
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
        """The interpreter counts changes of the filters, and every `__warningregistry__` shows the
        count: one of a run's globals has it when a warning came up. It can't be set back, so the
        changes that an import made are counted only when the run imports.
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
            if not self._open:  # somebody kept it where it wasn't found
                return self._register(func, *args, **kwargs)
            if getattr(func, "__qualname__", None) == "finalize._exitfunc":
                self.state.on_redo(self._current(), _register_finalizers)
            else:
                self.state.on_redo(self._current(), lambda: self._register(func, *args, **kwargs))
            return func

        return register


def _register_finalizers():
    """weakref registers once for all finalizers of the process."""
    finalize = sys.modules["weakref"].finalize
    if not getattr(finalize, _FINALIZERS):
        atexit.register(finalize._exitfunc)
        setattr(finalize, _FINALIZERS, True)


def _hidden_from_tracebacks(method):
    """Python leaves the import machinery's own frames out of tracebacks; these methods are part of
    it now.
    """
    own_file = _importlib.ModuleSpec.__init__.__code__.co_filename
    method.__func__.__code__ = method.__func__.__code__.replace(co_filename=own_file)
    return method


class Shelf:
    """The preloaded modules that a run must import before it sees them.

    Not all that were loaded: to put one back writes to pages that the child shares with the worker,
    3 to 10 us each. Kept back are the modules by which a run gets at what its import has to do (its
    names of `random`, its changes of the process): those that do it, and of those that lead to them
    the packages and their direct members.
    """

    def __init__(self, preloading):
        self._state = preloading.state
        self._needs = {n: needs for n, needs in preloading.needs.items() if n in sys.modules}
        self._drop_parts_of_failed_packages()
        loaded = {name: sys.modules[name] for name in self._needs if name not in _VISIBLE}
        self._add_references(loaded)
        real = sys.modules["random"]
        self._random = LateRandom(real, loaded, preloading.watch.created())  # noqa: F821
        active = {"random", *_ON_RETURN, *self._random.owners(), *self._state.owners()}
        self._keep_back(loaded, active)
        self._meta_path = list(sys.meta_path)
        self._path = sys.path[1:]
        self._load, self._find = _importlib._load_unlocked, _importlib._find_spec
        _importlib._load_unlocked = first_of(self._taken, self._load)  # noqa: F821
        _importlib._find_spec = first_of(self._known, self._find)  # noqa: F821

    def _known(self, name, path, target=None):
        """Where a search must find a module again, it needn't be done: 0.4 ms in a child that never
        searched.
        """
        if name in self._modules and self._finds_the_same():
            return getattr(self._modules[name], "__spec__", None)
        return None

    def _finds_the_same(self):
        """The first directory of the path is the run's own, in which nothing but tmp/ can be
        written.
        """
        return (
            sys.meta_path == self._meta_path
            and sys.path[1 : len(self._path) + 1] == self._path
            and sys.path[0] == _working_directory()
        )

    def _taken(self, spec):
        """In place of the import system's last step, when it knows which file it would execute."""
        module = self._modules.get(spec.name)
        if module is None or not _is_same(spec, module):
            return None
        if self._needs_another(spec.name) or not self._take_all(spec.name):
            self._modules.pop(spec.name, None)
            return None
        return sys.modules[spec.name]

    def _needs_another(self, name):
        """Whether the run has put another module in the place of one that this one imports, or in
        front of it on the path. Of `random` only its absence counts: replaced it is bound anew.
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
        """False if the run's surroundings don't allow it: the import is then done there and then,
        and fails in its own words.
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
        if name in _ON_RETURN:
            _ON_RETURN[name](module)

    def _drop_parts_of_failed_packages(self):
        """A run that imports the package must start it from the beginning, as after no attempt."""
        for name in sorted(self._needs, key=len):
            parent = name.rpartition(".")[0]
            if parent and parent not in sys.modules:
                del sys.modules[name], self._needs[name]

    def _add_references(self, loaded):
        """A module that was loaded before another needed it shows in the latter's names."""
        names = {id(module): name for name, module in loaded.items()}
        for name, module in loaded.items():
            parent = name.rpartition(".")[0]
            values = list(getattr(module, "__dict__", {}).values())
            for other in (parent, *(_origin(value, names) for value in values)):
                if other in loaded and other != name and not other.startswith(name + "."):
                    self._needs[name][other] = True

    def _keep_back(self, loaded, active):
        """`_closures`: for each module kept back, all that its import brings, in the order of their
        first loads.
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
        # New strings lie together in memory; the modules' own are all over it.
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
    """The parts of a package without a file look for it in sys.modules: all go and come."""
    path = getattr(module, "__path__", ())
    return name.count(".") < 2 or not isinstance(path, (list, tuple))


def _is_same(spec, module):
    """The run may have put another module of that name in front."""
    own = getattr(module, "__spec__", None)
    return own is None or own.origin == spec.origin


def _origin(value, names):
    if id(value) in names:
        return names[id(value)]
    return value.__module__ if type(value) in (type, type(_origin)) else None


def _forget(function):
    """Makes a cached function of matplotlib compute again; each version caches differently."""
    if hasattr(function, "cache_clear"):
        function.cache_clear()
    elif function.__closure__:
        cells = dict(zip(function.__code__.co_freevars, function.__closure__))
        if "called" in cells:
            cells["called"].cell_contents = False


def _matplotlib_paths(matplotlib):
    """Its import looks for a matplotlibrc in the configuration directory, and makes that. What it
    logs about that is for the run, unless it fails: then the import logs it again.
    """
    _forget(matplotlib.get_configdir)
    _forget(matplotlib.get_cachedir)
    log, records = matplotlib._log, []
    log.handle = records.append
    try:
        matplotlib.get_configdir()
    finally:
        del log.handle
    for record in records:
        log.handle(record)
    _matplotlib_settings(matplotlib)


def _matplotlib_settings(matplotlib):
    """Its import reads that file and a variable; mostly there is neither."""
    own, backend = matplotlib.matplotlib_fname(), os.environ.get("MPLBACKEND")
    if not own.startswith(matplotlib.get_data_path()):
        matplotlib.rcParams._update_raw(matplotlib._rc_params_in_file(own))
        matplotlib.rcParamsOrig = matplotlib.rcParams.copy()
    if backend:
        matplotlib.rcParams["backend"] = backend


def _matplotlib_styles(style):
    if hasattr(style, "USER_LIBRARY_PATHS"):
        directory = sys.modules["matplotlib"].get_configdir()
        style.USER_LIBRARY_PATHS[:] = [os.path.join(directory, "stylelib")]


def _matplotlib_tex(texmanager):
    for name in ("texcache", "_texcache"):
        if name in vars(texmanager.TexManager):
            directory = sys.modules["matplotlib"].get_cachedir()
            setattr(texmanager.TexManager, name, os.path.join(directory, "tex.cache"))


def _sympy_dummy_index(symbol):
    """Drawn once at import: the same in all children of a worker unless drawn again."""
    if hasattr(symbol.Dummy, "_prng"):
        symbol.Dummy._base_dummy_index = symbol.Dummy._prng.randint(10**6, 9 * 10**6)


# What a module's import computes from its surroundings and keeps: to be computed in those of the
# run.
_ON_RETURN = {
    "matplotlib": _matplotlib_paths,
    "matplotlib.style": _matplotlib_styles,
    "matplotlib.style.core": _matplotlib_styles,
    "matplotlib.texmanager": _matplotlib_tex,
    "sympy.core.symbol": _sympy_dummy_index,
}


def _import(name):
    """[] or [(name, what went wrong)]; even a SystemExit is only a library that fails."""
    try:
        __import__(name)
    except BaseException as error:
        try:
            message = str(error)
        except BaseException:
            message = "?"
        return [(str(name), f"{type(error).__name__}: {message}")]
    return []


def _threads():
    """Those of C libraries too, where there is a /proc to tell."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1 + _thread._count()


def _import_and_count_threads(name, before):
    failures = _import(name)
    waited = 0.0
    while _threads() > before and waited < _THREAD_GRACE_S:
        sleep(0.01)
        waited += 0.01
    if _threads() > before:
        threading = sys.modules.get("threading")
        known = [t.name for t in threading.enumerate()[1:]] if threading else []
        message = f"RuntimeError: left {_threads() - before} thread(s) running {known}"
        failures.append((str(name), message))
    return failures


def _preload(names):
    """matplotlib writes what it finds out about fonts: into a directory of which nothing shall
    stay.
    """
    from shutil import rmtree

    parent = os.environ.get("TMPDIR", "/tmp")
    directory = os.path.join(parent, "codejail-warm-up-" + os.urandom(8).hex())
    failures = []
    try:
        os.mkdir(directory, 0o700)
        os.environ["MPLCONFIGDIR"] = directory
    except OSError as error:
        failures.append(("MPLCONFIGDIR", f"{type(error).__name__}: {error}"))
    for name in names:
        failures += _import_and_count_threads(name, _threads())
        for also in _ALSO.get(name, ()) if not failures or failures[-1][0] != name else ():
            failures += _import_and_count_threads(also, _threads())
    rmtree(directory, ignore_errors=True)
    return failures


# What a fresh interpreter has too: the runner's imports, and what was there before.
_VISIBLE = set()
_REGISTRY = None


def warm_up(preload):
    """Imports each name; returns (name, "ErrorType: message") of those that failed.

    In a context of its own: what a library sets there (decimal does) a run shall not find.
    """
    known = "_contextvars" in sys.modules
    from _contextvars import Context

    if not known:
        del sys.modules["_contextvars"]
    return Context().run(_warm_up, preload)


def _warm_up(preload):
    global _REGISTRY, _LOADED
    before = set(sys.modules)
    failures = _import("six")
    if _import("simplejson"):
        failures += _import("json")
    _VISIBLE.update(FRESH_MODULES, sys.modules.keys() - before)  # noqa: F821
    preloading = Preloading(_importlib._load_unlocked)
    try:
        failures += _import("random") + _preload(preload)
        preloading.state.undo()
    finally:
        preloading.close()
    _REGISTRY = RngRegistry(preloading.watch)  # noqa: F821
    _LOADED = {name.partition(".")[0] for name in sys.modules}
    Shelf(preloading)
    return failures


def reseed():
    """In each child before its job. Two children never share unseeded random state."""
    _REGISTRY.reseed(os.urandom)


def freeze():
    """Keeps the collector of each child off the warm objects, whose pages it would copy. Last of
    all.
    """
    gc.collect()
    gc.freeze()
