"""Some modules compute values from their surroundings when they are imported, and keep them. When such
a module comes back in a run, the values must be computed again from the surroundings of that run.
"""

import os
import sys


def _forget(function):
    """Makes a cached function of matplotlib compute again. Each version of matplotlib caches in its
    own way.
    """
    if hasattr(function, "cache_clear"):
        function.cache_clear()
    elif function.__closure__:
        cells = dict(zip(function.__code__.co_freevars, function.__closure__))
        if "called" in cells:
            cells["called"].cell_contents = False


def _matplotlib_paths(matplotlib):
    """The import of matplotlib looks for a matplotlibrc in the configuration directory, and makes that
    directory. Its log lines about that are for the run. If it fails, they are not needed: the run's own
    import follows and logs them again.
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
    """The import of this module reads that file and the variable MPLBACKEND. Mostly there is neither."""
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
    """sympy draws this number once, when it is imported. If it were not drawn again, all children of a
    worker would have the same.
    """
    if hasattr(symbol.Dummy, "_prng"):
        symbol.Dummy._base_dummy_index = symbol.Dummy._prng.randint(10**6, 9 * 10**6)


# For each module, the function to call with it.
ON_RETURN = {
    "matplotlib": _matplotlib_paths,
    "matplotlib.style": _matplotlib_styles,
    "matplotlib.style.core": _matplotlib_styles,
    "matplotlib.texmanager": _matplotlib_tex,
    "sympy.core.symbol": _sympy_dummy_index,
}
