# A worker's script. It loads the worker module from the descriptor that the spawner left open,
# makes the module the exception hook and raises. So the module runs with no Python frame below it.
import sys
from _frozen_importlib import ModuleSpec, _load
from _frozen_importlib_external import ExtensionFileLoader

# A free-threaded Python lays objects out otherwise. The spawner refuses it at its start. This is
# for one that replaced another Python later.
if "t" in sys.abiflags:
    raise SystemExit("a free-threaded Python can't load the worker module")
name, path = "codejail_worker", "/proc/self/fd/4"
sys.excepthook = _load(ModuleSpec(name, ExtensionFileLoader(name, path), origin=path)).serve
del sys.modules[name]
raise RuntimeError
