# A worker's script. It loads the worker module from the descriptor that the spawner left open,
# makes the module's function `serve` the exception hook, and raises an exception. So `serve` runs
# with no Python frame below it.
import sys
from _frozen_importlib import ModuleSpec, _load
from _frozen_importlib_external import ExtensionFileLoader

# In a free-threaded Python objects have another layout in memory. The spawner refuses such a Python
# when the service starts. The check here finds a Python that was replaced after that.
if "t" in sys.abiflags:
    raise SystemExit("a free-threaded Python can't load the worker module")
name, path = "codejail_worker", "/proc/self/fd/4"
sys.excepthook = _load(ModuleSpec(name, ExtensionFileLoader(name, path), origin=path)).serve
del sys.modules[name]
raise RuntimeError
