"""What is installed in the sandbox venv: the names that a preload list can hold."""

import os
import sys

# A venv of course authors' libraries has some 80. Each can become a label of a metric, so there is
# a bound.
_LIBRARIES_MAX = 500

# No library has a longer name.
_NAME_LENGTH_MAX = 64


def installed():
    """Top-level packages and modules in the site-packages directories of `sys.path`, sorted."""
    names = set()
    for directory in sys.path:
        if os.path.basename(directory) in ("site-packages", "dist-packages"):
            names.update(filter(None, (_library(directory, entry) for entry in _entries(directory))))
    return sorted(names)[:_LIBRARIES_MAX]


def not_loaded(names, loaded):
    """The names that are not in `loaded`, the top-level names of the preloaded modules. A run that imports
    such a library has to load it itself.
    """
    return [name for name in names if name not in loaded]


def _entries(directory):
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _library(directory, entry):
    """The name under which this file or directory can be imported, or None."""
    name, _, ending = entry.partition(".")
    if not name.isidentifier() or not name.isascii() or len(name) > _NAME_LENGTH_MAX or name == "__pycache__":
        return None
    if ending == "py" or ending.endswith("so"):
        return name
    is_package = not ending and os.path.isdir(os.path.join(directory, entry))
    return name if is_package else None
