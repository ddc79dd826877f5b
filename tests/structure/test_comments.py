"""No line of comment is wider than the code."""

import functools
import io
import tokenize
from pathlib import Path

import pytest
from conftest import TREE, tracked

COLUMNS_MAX = 100


def rust_comments(text):
    """Lines that are only a comment, with their numbers. A string may contain `//`, but hardly begins with it."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("//"):
            yield number, line


def python_comments(text):
    """Lines that are only a comment, with their numbers. `#` inside a string is no comment."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and token.line.lstrip().startswith("#"):
            yield token.start[0], token.line.rstrip("\n")


def shell_comments(text):
    """Lines that are only a comment, with their numbers."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            yield number, line


COMMENTS = {".rs": rust_comments, ".py": python_comments, ".sh": shell_comments}


def wide_comments(path, text):
    """The comments of a file that are too wide, as `path: number`. One long word can't be wrapped, so it may be."""
    return [
        f"{path}: {number}"
        for number, line in COMMENTS[Path(path).suffix](text)
        if len(line) > COLUMNS_MAX and len(line.split()) > 2
    ]


@functools.cache
def wide_in_tree():
    """All comment lines of the tree that are too wide."""
    files = [file for suffix in COMMENTS for file in tracked(f"*{suffix}")]
    return [wide for file in files for wide in wide_comments(str(file), (TREE / file).read_text(encoding="utf-8"))]


def test_no_comment_is_wider_than_the_code():
    assert wide_in_tree() == []


@pytest.mark.parametrize(
    ("path", "line"),
    [("a.rs", "    /// {}"), ("a.rs", "//! {}"), ("a.rs", "// {}"), ("a.py", "# {}"), ("a.sh", "  # {}")],
)
def test_a_wide_comment_is_found(path, line):
    wide = line.format("word " * 30).rstrip() + "\n"
    assert wide_comments(path, "\n" + wide) == [f"{path}: 2"]
    assert wide_comments(path, line.format("word " * 10) + "\n") == []


@pytest.mark.parametrize(
    ("path", "text"),
    [("a.py", '"""\n# {}\n"""\n'), ("a.rs", 'x("\n# {}\n");\n'), ("a.sh", "# {}\n")],
)
def test_what_is_no_comment_or_can_not_be_wrapped_is_passed_over(path, text):
    assert wide_comments(path, text.format("word_" * 30 if path == "a.sh" else "word " * 30)) == []
