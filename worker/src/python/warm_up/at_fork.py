"""What the standard library asks for at each fork, and what a child needs of it.

The hooks of these modules are for processes that fork beside other threads. A worker has one thread and
is between two statements of none of these modules when it forks, so no lock is held, no executor and no
event loop runs. A child would execute the hooks for nothing, and copy the pages that they write to.

A run can't notice that its process has not registered them: it can't fork.
"""

import os
import sys
from _thread import get_native_id

# By the module that registers them; Python 3.9 to 3.14. `random` seeds its generator, which rng.py
# does.
_NEEDLESS = frozenset(("asyncio.events", "concurrent.futures.thread", "logging", "random", "threading"))


class AtForkHooks:
    """Keeps these modules from registering theirs while libraries load. Other modules' hooks run."""

    def __init__(self, loading):
        """`loading`: a function that gives the name of the module being loaded."""
        self._loading = loading
        self._real = getattr(os, "register_at_fork", None)
        self._open = True
        self._stand_in = self._register
        if self._real is not None:
            os.register_at_fork = self._stand_in

    def close(self):
        """What stood in for which function, for a library that keeps it."""
        self._open = False
        if self._real is not None:
            os.register_at_fork = self._real
        return [(self._stand_in, self._real)]

    def _register(self, **hooks):
        if not self._open or self._loading() not in _NEEDLESS:
            self._real(**hooks)


def renewal():
    """A function that makes of what was loaded what it is in a process of its own: the main thread knows
    its number in the kernel.
    """
    threading = sys.modules.get("threading")
    thread = threading and threading.main_thread()
    if not hasattr(thread, "_native_id"):
        return lambda: None

    def renew():
        thread._native_id = get_native_id()

    return renew
