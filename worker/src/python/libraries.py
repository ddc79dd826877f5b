"""What is installed in the sandbox venv: the names that a preload list can hold. Executed after warm_up.py
in its dict.
"""

# A venv of course authors' libraries has some 80. Each can become a label of a metric, so there is a bound.
_LIBRARIES_MAX = 500

# A name that is longer is nobody's library.
_NAME_LENGTH_MAX = 64


def libraries():
    """Top-level packages and modules of the path's site-packages, sorted."""
    names = set()
    for directory in sys.path:  # noqa: F821
        if os.path.basename(directory) in ("site-packages", "dist-packages"):  # noqa: F821
            names.update(filter(None, (_library(directory, entry) for entry in _entries(directory))))
    return sorted(names)[:_LIBRARIES_MAX]


def not_loaded(names):
    """Those of which nothing is loaded: a run that imports one pays for it."""
    return [name for name in names if name not in _LOADED]  # noqa: F821


def _entries(directory):
    try:
        return os.listdir(directory)  # noqa: F821
    except OSError:
        return []


def _library(directory, entry):
    name, _, ending = entry.partition(".")
    if not name.isidentifier() or not name.isascii() or len(name) > _NAME_LENGTH_MAX or name == "__pycache__":
        return None
    if ending == "py" or ending.endswith("so"):
        return name
    is_package = not ending and os.path.isdir(os.path.join(directory, entry))  # noqa: F821
    return name if is_package else None
