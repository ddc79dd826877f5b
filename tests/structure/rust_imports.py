"""Which file of a crate uses which other file, found by `crate::`, `super::` and paths of child modules.

The text is enough for that: comments, strings and test modules are removed, then every path is followed as
far as its segments are modules. Macros, and names that a glob imports, are not seen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

_NOISE = re.compile(
    r'//[^\n]*|/\*.*?\*/|b?r(#*)".*?"\1|b?"(?:\\.|[^"\\])*"|b?\'(?:\\.|[^\'\\])\'',
    re.DOTALL,
)
_TEST = re.compile(r"#\[cfg\(test\)\]\s*(?:pub(?:\([^)]*\))?\s+)?(mod|use|fn|impl)\b")
_MODULE = re.compile(r"\bmod\s+(\w+)\s*;")
_START = re.compile(r"(?<![\w:])(crate|super|self|[a-z_]\w*)::")


@dataclass(eq=False)
class Module:
    """A file, and the modules that it declares."""

    file: Path
    code: str
    parent: Module | None
    children: dict[str, Module] = field(default_factory=dict)


def without_noise(text: str) -> str:
    """The code without comments, literals and test code."""
    code = _NOISE.sub(" ", text)
    while match := _TEST.search(code):
        code = code[: match.start()] + code[_item_end(code, match.end()) :]
    return code


def _item_end(code: str, at: int) -> int:
    """The end of an item: its semicolon, or the brace that closes its body."""
    depth = 0
    for index in range(at, len(code)):
        if code[index] == "{":
            depth += 1
        elif code[index] == "}":
            depth -= 1
            if depth == 0:
                return index + 1
        elif code[index] == ";" and depth == 0:
            return index + 1
    return len(code)


def load(file: Path, parent: Module | None = None) -> Module:
    """A module and all modules below it, from the file of a crate's root."""
    module = Module(file, without_noise(file.read_text(encoding="utf-8")), parent)
    is_root = parent is None or file.name == "mod.rs"
    folder = file.parent if is_root else file.with_suffix("")
    for name in _MODULE.findall(module.code):
        candidates = [folder / f"{name}.rs", folder / name / "mod.rs"]
        found = [path for path in candidates if path.exists()]
        if found:
            module.children[name] = load(found[0], module)
    return module


def _paths(code: str, at: int, prefix: tuple[str, ...]) -> list[tuple[str, ...]]:
    """All paths that begin with `prefix` and continue in the code at `at`. Groups in braces are expanded."""
    word = re.compile(r"\s*(\w+|\{|\*)").match(code, at)
    if word is None or word[1] == "*":
        return [prefix]
    if word[1] != "{":
        longer = (*prefix, word[1])
        more = re.compile(r"\s*::").match(code, word.end())
        return _paths(code, more.end(), longer) if more else [longer]
    paths, depth, at = [], 0, word.end()
    part = at
    for index in range(at, len(code)):
        if code[index] in ",}" and depth == 0:
            paths += _paths(code, part, prefix) if code[part:index].strip() else []
            part = index + 1
            if code[index] == "}":
                break
        depth += {"{": 1, "}": -1}.get(code[index], 0)
    return paths


def _target(module: Module, path: tuple[str, ...]) -> Module | None:
    """The innermost module that a path names."""
    first, *others = path
    if first == "crate":
        here = module
        while here.parent:
            here = here.parent
    elif first == "super":
        here = module.parent
    elif first == "self":
        here = module
    else:
        here = module.children.get(first)
    for name in others:
        if here is None or (name != "super" and name not in here.children):
            break
        here = here.parent if name == "super" else here.children[name]
    return here


def arrows(module: Module) -> set[Module]:
    """The modules that this module uses. A child that uses a name of its parent makes no arrow."""
    used = set()
    for start in _START.finditer(module.code):
        for path in _paths(module.code, start.end(), (start[1],)):
            used.add(_target(module, path))
    return used - {None, module, module.parent}


def every(module: Module) -> list[Module]:
    """A module and all modules below it."""
    return [module, *(below for child in module.children.values() for below in every(child))]


def circles(root: Module) -> list[list[Path]]:
    """Groups of files that use each other in a circle (Tarjan's components)."""
    graph = {module: arrows(module) for module in every(root)}
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = [stack.pop()]
            while group[-1] is not node:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(module.file for module in group))

    for node in graph:
        if node not in index:
            visit(node)
    return found
