"""The standard library's hooks that Python calls at each fork, and which of their work a child needs.

The hooks are for processes that fork beside other threads, or in the middle of these modules' code. A
worker has one thread, and runs none of their code when it forks. So no lock is held, and no executor and
no event loop runs. A child would execute the hooks for nothing, and copy the pages that they write to.

A run can't notice that its process has not registered the hooks, because it can't fork.
"""

import os
import sys
from _thread import get_native_id

# The hooks by the module that registers them; Python 3.9 to 3.14. The hook of `random` seeds its
# generator; rng.py does that.
_NEEDLESS = frozenset(("asyncio.events", "concurrent.futures.thread", "logging", "random", "threading"))


class AtForkHooks:
    """Keeps these modules from registering their hooks while libraries load. Hooks of other modules run."""

    def __init__(self, loading):
        """`loading`: a function that gives the name of the module being loaded."""
        self._loading = loading
        self._real = getattr(os, "register_at_fork", None)
        self._open = True
        self._stand_in = self._register
        if self._real is not None:
            os.register_at_fork = self._stand_in

    def close(self):
        """Returns each stand-in with the real function, for a library that has kept the stand-in."""
        self._open = False
        if self._real is not None:
            os.register_at_fork = self._real
        return [(self._stand_in, self._real)]

    def _register(self, **hooks):
        if not self._open or self._loading() not in _NEEDLESS:
            self._real(**hooks)


def renewal():
    """Returns a function for each child. It does what the hooks would have done that is still needed: it
    tells the main thread its number in the kernel.
    """
    threading = sys.modules.get("threading")
    thread = threading and threading.main_thread()
    if not hasattr(thread, "_native_id"):
        return lambda: None

    def renew():
        thread._native_id = get_native_id()

    return renew
