"""Imports the operator's libraries ahead of time, so that a run's own `import` of one finds it done.

A run must not be able to tell. Therefore, after preloading:

* What the imports changed in the process (warning filters, environment, atexit callbacks, ...) is
  undone (process_state.py).
* The modules leave `sys.modules`; shelf.py says which ones.

When a run imports a module from the shelf, the module comes back with everything that its import
had loaded, the changes of that import are made again, and what it holds of `random` is bound anew
(late_random.py). The result is that of an import there and then, in a millisecond. The same rule
decides about atexit: a library's callback runs at the end of the runs that import the library, and
of no other run.

The worker loads these modules by importer.py before anybody has sent it anything. Their top imports
only Python's json, which the runner imports too, and modules that are built into the interpreter:
those bring no others into `sys.modules`. Everything else is imported inside functions, while imports
are being watched, so that it can be taken away again.
"""
