"""The tree keeps its order: no circle of imports, unsafe code in few files, no file that is too long."""

import ast
import re
import subprocess
from pathlib import Path

import pytest
import rust_imports
from conftest import TREE, tracked

# Each file that contains `unsafe`, and its purpose. A new one is a decision: think, then add it.
UNSAFE = {
    "spawner/src/sys/clone.rs": "clone3, pidfd_send_signal",
    "spawner/src/sys/mount.rs": "fsopen, fsmount, move_mount and others that no crate wraps",
    "spawner/src/sys/process.rs": "from clone to exec",
    "spawner/src/sys/file.rs": "getxattr, fsetxattr, fchmodat2",
    "supervisor/allocator/src/lib.rs": "mallopt",
    "transport/src/lib.rs": "descriptors that a packet brought",
    "transport/asynchronous/src/lib.rs": "a socket registered with the runtime",
    "worker/src/cold_imports.rs": "the interpreter's table of modules",
    "worker/src/control.rs": "the socket that the spawner left",
    "worker/src/end_of_run.rs": "signals and streams at the end of a run",
    "worker/src/execute.rs": "_exit",
    "worker/src/finders.rs": "PyDict_Next, and a reference that is kept",
    "worker/src/fork_server.rs": "fork, and the interpreter's calls around it",
    "worker/src/heap.rs": "PyObject_Malloc, PyObject_Free, malloc",
    "worker/src/huge_pages.rs": "madvise",
    "worker/src/image/copy.rs": "mmap, mprotect, pwrite of all memory",
    "worker/src/interpreter.rs": "sysconf",
    "worker/src/layers/descriptors.rs": "dup2, close_range, and descriptors that were placed",
    "worker/src/layers/identity.rs": "setresuid and setresgid without libc's signals to threads",
    "worker/src/layers/landlock.rs": "what Landlock's crate does not have",
    "worker/src/runner.rs": "PyEval_EvalCode",
    "worker/src/signals.rs": "sigaction",
    "worker/src/start.rs": "sys.flags, and the interpreter's flags in C",
    "worker/src/warm_up.rs": "fflush",
    "tests/harness/src/inject.rs": "a descriptor taken from a process under test",
}

RUST_LINES_MAX = 350
PYTHON_LINES_MAX = 300
FUNCTION_LINES_MAX = 70

ROOTS = [
    path
    for manifest in tracked("*Cargo.toml")
    for path in [manifest.parent / "src/lib.rs", manifest.parent / "src/main.rs"]
    if (TREE / path).exists()
]


@pytest.mark.parametrize("root", ROOTS, ids=str)
def test_no_file_uses_itself_by_way_of_others(root):
    found = rust_imports.circles(rust_imports.load(TREE / root))
    assert found == [], "\n".join(" <-> ".join(str(file.relative_to(TREE)) for file in group) for group in found)


def test_a_circle_would_be_found(tmp_path):
    files = {
        "lib.rs": "mod a;\nmod b;\n",
        "a/mod.rs": "pub mod inner;\nuse crate::{b::{self, deep::Thing}};\n",
        "a/inner.rs": "use super::Own;\n// use crate::b::deep::Thing;\n",
        "b.rs": 'pub mod deep;\nconst T: &str = "crate::a::X";\n#[cfg(test)]\nmod tests { use crate::a; }\n',
        "b/deep.rs": "pub struct Thing;\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert rust_imports.circles(rust_imports.load(tmp_path / "lib.rs")) == []
    for way_back in ["use crate::{a::{inner::X, Own}};", "fn f() -> super::super::a::Own { g() }"]:
        (tmp_path / "b/deep.rs").write_text(way_back)
        found = rust_imports.circles(rust_imports.load(tmp_path / "lib.rs"))
        assert found == [[tmp_path / "a/mod.rs", tmp_path / "b/deep.rs"]]


def test_unsafe_code_is_where_the_list_says_and_nowhere_else():
    found = {
        str(path)
        for path in tracked("*.rs")
        if re.search(r"\bunsafe\b(?!_)", rust_imports.without_noise((TREE / path).read_text(encoding="utf-8")))
    }
    assert found == set(UNSAFE)


def test_the_spawner_is_built_from_nothing_that_speaks_http_or_runs_tasks():
    listed = subprocess.run(
        ["cargo", "tree", "--locked", "--offline", "-p", "codejail-spawner", "-e", "normal", "--prefix", "none"],
        cwd=TREE,
        check=True,
        capture_output=True,
        text=True,
    )
    crates = {line.split()[0] for line in listed.stdout.splitlines() if line}
    assert "nix" in crates
    assert not crates & {"tokio", "hyper", "axum", "http", "mio", "tower", "serde_json", "codejail"}


def is_test(path):
    return "tests" in path.parts or path.name == "tests.rs"


def test_no_file_is_longer_than_one_reads_in_one_go():
    most = {path: RUST_LINES_MAX for path in tracked("*.rs") if not is_test(path)}
    most |= {path: PYTHON_LINES_MAX for path in tracked("*.py")}
    lines = {path: len((TREE / path).read_text(encoding="utf-8").splitlines()) for path in most}
    assert {str(path): lines[path] for path in most if lines[path] > most[path]} == {}


def test_no_function_is_longer_than_a_screen():
    too_long = {}
    for path in [*tracked("*.rs"), *tracked("*.py")]:
        text = (TREE / path).read_text(encoding="utf-8")
        lengths = rust_functions(text) if path.suffix == ".rs" else python_functions(text)
        too_long |= {f"{path}: {name}": lines for name, lines in lengths if lines > FUNCTION_LINES_MAX}
    assert too_long == {}


def rust_functions(text):
    """Name and lines of each function, by rustfmt's indentation."""
    head = re.compile(r"^( *)(?:pub(?:\([^)]*\))? )?(?:const |async |unsafe |extern \"C\" )*fn (\w+)")
    lines = text.splitlines()
    for start, line in enumerate(lines):
        if match := head.match(line):
            for end in range(start, len(lines)):
                if lines[end].startswith(match[1] + "}") or (end == start and line.endswith(("}", ";"))):
                    yield match[2], end - start + 1
                    break


def python_functions(text):
    """Name and lines of each function."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.end_lineno - node.lineno + 1


def test_no_file_names_a_registry():
    # In two parts, since this file must not contain it.
    hosts = ["deb." + "debian.org", "pypi." + "org", "crates." + "io", "registry." + "npmjs", "files.python" + "hosted"]
    named = subprocess.run(
        ["git", "grep", "-lIE", "|".join(re.escape(host) for host in hosts), "--", ":!*Cargo.lock"],
        cwd=TREE,
        capture_output=True,
        text=True,
    )
    assert named.returncode in (0, 1), named.stderr
    assert [Path(name) for name in named.stdout.splitlines()] == []
