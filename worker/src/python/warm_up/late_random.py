"""Lets a library that was preloaded see a `random` that was replaced later.

The LMS's prolog puts a seeded `random2.Random` at `sys.modules["random"]` and then imports
libraries. In a fresh interpreter the libraries bind the replacement; preloaded libraries hold the
real module, its functions and its classes. So the worker loads libraries with the real `random`, not
with a stand-in, and then notes every place where a library keeps a part of it (a site). shelf.py
takes preloaded modules out of `sys.modules`, so that the run's own `import` is noticed. At that
moment, if `random` is no longer the real one, the sites of the imported modules are bound anew. A run
that replaces nothing meets only real objects.

What still differs from a fresh interpreter, with or without a replacement:

| what differs                                   | why it stays                                    |
|------------------------------------------------|-------------------------------------------------|
| random values drawn while a library is         | the import ran in the worker; of the usual      |
| imported don't advance the run's seeded        | libraries only sympy draws, from a generator of |
| `random`                                       | its own, and on_return.py does that again       |
| sites in a list, a tuple, a closure, a partial | no usual library has one; a closure can't be    |
|                                                | told from what a call made on purpose           |
| a subclass that can't take new `__bases__`     | its layout forbids it (`__slots__`, a foreign   |
| keeps the real Random                          | base)                                           |
| modules below the second level stay in         | hiding them all costs a run up to 10 ms of page |
| sys.modules: a run whose only import of sympy  | faults; any import of the package, its direct   |
| is `from sympy.polys.polytools import Poly`    | members or a module with a site of its own is   |
| binds no replacement                           | noticed                                         |
| a submodule that another preload imported is   | taking it away could break a library that needs |
| already an attribute of its package            | it; worse than a missing AttributeError         |
| what a library prints or warns while imported  | it went to the worker's stderr, once            |
| `warnings.onceregistry`, setenv() called from  | not done again: too rare to be worth the code   |
| C                                              |                                                 |
| matplotlib's list of fonts isn't written to    | it is in memory; writing would be slow, and     |
| the config directory                           | FSIZE 0 denies it anyway                        |
| `setstate()` and `.state =` at import don't    | it looks like an unseeded generator that was    |
| count as seeds, nor does a seed of the         | used; unseeded state must never be shared       |
| *global* numpy.random                          |                                                 |
"""

import gc
import sys

_BoundMethods = (type([].append), type((lambda self: None).__get__(0)))


class LateRandom:
    """The sites in preloaded modules. Each belongs to the module whose import made it."""

    def __init__(self, real, hidden, created):
        """`real`: the module `random`. `hidden`: preloaded modules by name. `created`: for each instance
        of a generator (instance, arguments of its last seed, module that was loading).
        """
        self._real = real
        self._steps = {}
        self._values = {id(real): lambda new: new}
        for name in real.__all__:
            self._values[id(getattr(real, name))] = _importer_of(name)
        holders = {name: module for name, module in hidden.items() if module is not real}
        created = created + self._system_instances(holders)
        for instance, seed, owner in created:
            if owner in hidden:
                self._convert_instance(instance, seed, owner)
        for base in (real.Random, real.SystemRandom):
            self._convert_subclasses(base, holders)
        self._convert_names(holders, [instance for instance, _, _ in created])

    def replacement(self):
        """The object that the run has put in the place of `random`, or None."""
        current = sys.modules.get("random")
        return None if current is self._real else current

    def owners(self):
        """The names of the modules that have sites."""
        return self._steps.keys()

    def rebind(self, name, new):
        """Makes the module `name` as if it had been imported with `new` as `random`."""
        for step in self._steps.pop(name, ()):
            step(new)

    def _add(self, module_name, step):
        self._steps.setdefault(module_name, []).append(step)

    def _system_instances(self, holders):
        """Instances of SystemRandom; `secrets` has one. Nobody seeds them, so SeedWatch doesn't know
        them.
        """
        found = {id(o): o for o in gc.get_objects() if type(o) is self._real.SystemRandom}
        owners = {}
        for name, module in holders.items():
            for value in list(_names(module).values()):
                if id(value) in found:
                    owners.setdefault(id(value), name)
        return [(found[key], ((), {}), owner) for key, owner in owners.items()]

    def _convert_instance(self, instance, seed, owner):
        """Adds a step for `rng = random.Random()` at import. It changes the instance in place, because
        other modules and bound methods refer to it.
        """
        name = type(instance).__name__
        if type(instance) in (self._real.Random, self._real.SystemRandom):
            self._add(owner, lambda new: _make_instance_of(instance, getattr(new, name), seed))

    def _convert_subclasses(self, base, holders):
        for cls in base.__subclasses__():
            if cls.__module__ in holders:
                self._add(
                    cls.__module__,
                    lambda new, c=cls: _move_to_base(c, base, getattr(new, base.__name__)),
                )

    def _convert_names(self, hidden, instances):
        """Adds steps for names in modules, classes and defaults that hold a part of `random` or a method of
        an instance.
        """
        methods = _bound_methods_of(instances)
        values = dict(self._values)
        for method in methods:
            values.setdefault(id(method), lambda new, m=method: getattr(m.__self__, m.__name__))
        namespaces = {id(_names(module)): name for name, module in hidden.items()}
        targets = [
            self._real,
            *methods,
            *(getattr(self._real, name) for name in self._real.__all__),
        ]
        others = []
        for holder in gc.get_referrers(*targets):
            if type(holder) is dict and id(holder) in namespaces:
                self._add_items(namespaces[id(holder)], holder, holder.__setitem__, values)
            elif type(holder) in (dict, tuple):
                others.append(holder)
        self._convert_class_attributes_and_defaults(others, hidden, values)

    def _convert_class_attributes_and_defaults(self, holders, hidden, values):
        wanted = {id(holder) for holder in holders}
        for owner in gc.get_referrers(*holders) if holders else ():
            if getattr(owner, "__module__", None) not in hidden:
                continue
            if isinstance(owner, type):
                self._add_items(owner.__module__, vars(owner), _setter_of(owner), values)
                continue
            if id(getattr(owner, "__defaults__", None)) in wanted:
                self._add(owner.__module__, lambda new, f=owner: _renew_defaults(f, values, new))
            if id(getattr(owner, "__kwdefaults__", None)) in wanted:
                defaults = owner.__kwdefaults__
                self._add_items(owner.__module__, defaults, defaults.__setitem__, values)

    def _add_items(self, module_name, namespace, put, values):
        for key, value in namespace.items():
            if id(value) in values:
                fetch = values[id(value)]
                self._add(module_name, lambda new, k=key, f=fetch: put(k, f(new)))


def _names(module):
    """The names of a module, or of another object that a library put into sys.modules."""
    return getattr(module, "__dict__", {})


def _bound_methods_of(instances):
    known = {id(instance) for instance in instances}
    found = gc.get_referrers(*instances) if instances else ()
    methods = [method for method in found if isinstance(method, _BoundMethods)]
    return [method for method in methods if id(getattr(method, "__self__", None)) in known]


def _setter_of(cls):
    return lambda name, value: setattr(cls, name, value)


def _importer_of(name):
    """A function that does what `from random import name` does, and raises the same error."""

    def fetch(new):
        try:
            return getattr(new, name)
        except AttributeError:
            message = f"cannot import name {name!r} from 'random' (unknown location)"
            raise ImportError(message, name="random") from None

    return fetch


def _make_instance_of(instance, cls, seed):
    try:
        instance.__class__ = cls
    except TypeError:  # `cls` is not a class, or has another layout: the instance stays as it is
        return
    instance.__init__()
    args, kwargs = seed
    if args or kwargs:
        instance.seed(*args, **kwargs)


def _move_to_base(cls, old, new):
    try:
        cls.__bases__ = tuple(new if base is old else base for base in cls.__bases__)
    except TypeError:
        return


def _renew_defaults(function, values, new):
    function.__defaults__ = tuple(
        values[id(value)](new) if id(value) in values else value for value in function.__defaults__
    )
