"""Imports the operator's libraries ahead of time, so that a run's own `import` has nothing left to do.

A run must not be able to notice this. Therefore, after preloading:

* What the imports changed in the process (warning filters, environment, atexit callbacks, ...) is
  undone (process_state.py).
* The modules leave `sys.modules`; shelf.py says which ones.

When a run imports a module from the shelf, three things happen. The module comes back, with all
modules that its import had loaded. The changes of that import are made again. Its names of `random`
are bound anew (late_random.py). The result is that of an ordinary import, but takes a millisecond.
The same rule holds for atexit: a library's callback runs at the end of the runs that import the
library, and of no other run.

The worker loads these modules by importer.py before it receives any order. At their top they import
only Python's json, which the runner imports too, and modules that are built into the interpreter:
those bring no others into `sys.modules`. Everything else is imported inside functions, while imports
are being watched, so that it can be taken away again.
"""
