"""Executes settings of the original that are written in Python, as Django would, and prints what they set.

    python django_settings.py FILE

It prints a JSON object with the names that FILE sets. The two names that codejail reads have their values. All other
names have no value, since it may be a secret. What the file prints goes to standard error.

The original need not be installed. What settings files import from it is made here, with the names and the plain
values that its own modules have. The Tutor plugin uses the same functions.
"""

import ast
import contextlib
import importlib.abc
import importlib.machinery
import json
import math
import os
import signal
import sys

READ = ("CODEJAIL_ENABLED", "CODE_JAIL")
# No settings take longer. A file that waits for something is ended.
SECONDS_MAX = 60


def _root(*fragments):
    return os.path.join("/app", *fragments)


def _environment_variable(name):
    return os.environ[name]


def _logging(*_arguments, **_options):
    return {"version": 1, "formatters": {}, "filters": {}, "handlers": {}, "loggers": {}}


def original_settings():
    """The names that settings files import from the original's modules by `*`. The objects are new, since the
    files may change them.
    """
    return {
        "ALLOWED_HOSTS": [],
        "DATABASES": {"default": {}},
        "DEBUG": False,
        "DICT_UPDATE_KEYS": (),
        "INSTALLED_APPS": (),
        "LANGUAGE_CODE": "en-us",
        "LOCALE_PATHS": (),
        "LOGGING": _logging(),
        "LOGGING_FORMAT_STRING": None,
        "MIDDLEWARE": (),
        "PROJECT_ROOT": _root(),
        "REST_FRAMEWORK": {},
        "ROOT_URLCONF": "codejail_service.urls",
        "TEMPLATE_DEBUG": False,
        "TIME_ZONE": "UTC",
        "USE_I18N": True,
        "USE_L10N": True,
        "USE_TZ": True,
        "WSGI_APPLICATION": "codejail_service.wsgi.application",
        "abspath": os.path.abspath,
        "dirname": os.path.dirname,
        "environ": os.environ,
        "get_env_setting": _environment_variable,
        "get_logger_config": _logging,
        "join": os.path.join,
        "os": os,
        "root": _root,
    }


def class_settings():
    """The settings of the service that Tutor ran from 19 to 21. It set no limit but FSIZE."""
    limits = {"CPU": 0, "REALTIME": 0, "VMEM": 0, "FSIZE": 10 << 20, "NPROC": 0, "PROXY": 0}
    code_jail = {"python_bin": "/sandbox/venv/bin/python", "user": "sandbox", "limits": limits, "limit_overrides": {}}
    base = type("BaseConfig", (), {"DEBUG": False, "CODE_JAIL": code_jail})
    names = ("DevelopmentConfig", "ProductionConfig")
    return {name: type(name, (base,), {}) for name in names} | {"BaseConfig": base}


# Each module with the function that makes its names. Modules without a function are packages.
MODULES = {
    "codejail_service": None,
    "codejail_service.settings": None,
    "codejail_service.settings.base": original_settings,
    "codejail_service.settings.local": original_settings,
    "codejail_service.settings.production": original_settings,
    "codejail_service.settings.utils": original_settings,
    "codejailservice": None,
    "codejailservice.config": class_settings,
}


class _Original(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name not in MODULES:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=MODULES[name] is None)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        make = MODULES[module.__name__]
        module.__dict__.update(make() if make else {})


@contextlib.contextmanager
def original_modules():
    """Within this context the original's modules can be imported, whatever is installed."""
    finder = _Original()
    hidden = {name: sys.modules.pop(name) for name in MODULES if name in sys.modules}
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in MODULES:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)


def execute(source, file, namespace):
    """Executes settings in a namespace, which they change."""
    code = compile(source, file, "exec")
    with original_modules():
        exec(code, namespace)


def plain(value):
    """A value in a form that JSON can write. Any other value becomes text, which is refused as a wrong value later."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else repr(value)


def assigned(source):
    """Names that a file assigns to, at its top level or below."""
    nodes = ast.walk(ast.parse(source))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def settings_of(source, file):
    """The names that the file sets: with the value if codejail reads it, otherwise with `None`."""
    namespace = {"__name__": "settings", "__file__": os.path.abspath(file)}
    execute(source, file, namespace)
    before = original_settings()
    names = assigned(source)
    production = namespace.get("ProductionConfig")
    if "CODE_JAIL" not in namespace and isinstance(production, type):
        # The older service has no switch: it always executes.
        before = {}
        namespace = {"CODEJAIL_ENABLED": True, "CODE_JAIL": production.CODE_JAIL} | dict(vars(production))
    changed = {
        name
        for name, value in namespace.items()
        if name.isupper() and (name in names or name not in before or value != before[name])
    }
    return {name: plain(namespace[name]) if name in READ else None for name in sorted(changed)}


def main(file):
    signal.alarm(SECONDS_MAX)
    answer = os.dup(1)
    os.dup2(2, 1)
    with open(file, encoding="utf-8") as stream:
        source = stream.read()
    # Settings import files beside them.
    sys.path.insert(0, os.path.dirname(os.path.abspath(file)))
    text = json.dumps(settings_of(source, file))
    sys.stdout.flush()
    with os.fdopen(answer, "w", encoding="utf-8") as stream:
        stream.write(text)


if __name__ == "__main__":
    main(sys.argv[1])
