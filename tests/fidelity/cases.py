"""The cases, read from `cases/*.txt`, one file a theme.

A case has a line with `== ` and its name, then directives, one for each line, then its code:

    @globals JSON      the input globals, `{}` if there are none
    @code JSON         the code as a JSON string, where a file of text can't hold it
    @context NAME      limit_overrides_context
    @library NAME      a python_lib.zip of course_libraries.py, named by python_path
    @unlisted          python_path does not name the library after all
    @unsent            python_path names a library that isn't sent
    @differs ID TEXT   ours differs on purpose, as docs/fidelity.md says under ID, and contains TEXT
    @since X.Y ID TEXT, @before X.Y ID TEXT    it differs with such a CPython only; both: from one to the other
    @client SEED       the code as the real client sends it: after its prolog, with that seed, and its lazy imports
    @slow              not in the short form
    @every ITEM ...    the case once for each item, which takes the place of $ITEM in the code
"""

import ast
import functools
import importlib.util
import json
from dataclasses import dataclass, replace
from pathlib import Path

DIRECTORY = Path(__file__).parent / "cases"


@dataclass(frozen=True)
class Case:
    """One request, and how the answers to it may differ."""

    name: str
    code: str = ""
    globals: str = "{}"
    context: "str | None" = None
    library: "str | None" = None
    python_path: bool = False
    differs: "str | None" = None
    ours: str = ""
    since: "tuple[int, int]" = (3, 0)
    before: "tuple[int, int]" = (4, 0)
    slow: bool = False

    def on(self, version):
        """The same case for a CPython of this version: (3, 11)."""
        if self.since <= version < self.before:
            return self
        return replace(self, differs=None, ours="")


def all_cases():
    """The cases of every theme, in the order of the files."""
    return [case for path in sorted(DIRECTORY.glob("*.txt")) for case in cases_of(path)]


def cases_of(path):
    """The cases of one file."""
    parts = ("\n" + path.read_text(encoding="utf-8")).split("\n== ")[1:]
    cases = [case for part in parts for case in parse(path.stem, part)]
    names = [case.name for case in cases]
    assert len(names) == len(set(names)), f"{path}: {sorted({n for n in names if names.count(n) > 1})} twice"
    return cases


def parse(theme, text):
    """The case of a text, or a case for each item of `@every`."""
    name, _, code = text.partition("\n")
    case, items, prolog = Case(f"{theme}: {name}"), None, ""
    while code.startswith("@"):
        line, _, code = code.partition("\n")
        word, _, rest = line[1:].partition(" ")
        if word == "every":
            items = rest.split()
        elif word == "client":
            prolog = client_prolog(ast.literal_eval(rest))
        else:
            case = replace(case, **directive(word, rest))
    case = replace(case, code=prolog + (case.code or code))
    if items is None:
        return [case]
    return [replace(case, name=f"{case.name} {item}", code=case.code.replace("$ITEM", item)) for item in items]


def client_prolog(seed):
    """What the real client puts in front of an author's code (`safe_exec` of xblocks-contrib)."""
    prolog, imports, lazy_module = client_texts()
    lazy = "".join(f"{name} = LazyModule('{module}')\n" for name, module in imports)
    return prolog % seed + lazy_module + lazy


@functools.cache
def client_texts():
    """Its prolog, its lazy imports and their class. They are read: to import them takes Django's settings."""
    package = Path(importlib.util.find_spec("xblocks_contrib").origin).parent / "problem/capa/safe_exec"
    tree = ast.parse((package / "safe_exec.py").read_text(encoding="utf-8"))
    values = {n.targets[0].id: n.value for n in tree.body if isinstance(n, ast.Assign) and hasattr(n.targets[0], "id")}
    read = [ast.literal_eval(values[name]) for name in ("CODE_PROLOG", "ASSUMED_IMPORTS")]
    return (*read, (package / "lazymod.py").read_text(encoding="utf-8"))


def directive(word, rest):
    """The fields of a Case that a directive sets."""
    if word == "globals":
        return {"globals": rest}
    if word == "code":
        return {"code": json.loads(rest)}
    if word == "context":
        return {"context": rest}
    if word == "library":
        return {"library": rest, "python_path": True}
    if word == "unlisted":
        return {"python_path": False}
    if word == "unsent":
        return {"python_path": True}
    if word == "slow":
        return {"slow": True}
    if word == "differs":
        identifier, _, ours = rest.partition(" ")
        return {"differs": identifier, "ours": ours}
    if word in ("since", "before"):
        version, identifier, ours = rest.split(" ", 2)
        number = tuple(map(int, version.split(".")))
        return {"differs": identifier, "ours": ours, word: number}
    raise ValueError(f"no directive @{word}")
