"""Functions that the tests of the tree's structure share."""

import subprocess
from pathlib import Path

TREE = Path(__file__).parents[2]


def tracked(pattern):
    """The files of the tree that match, with their path from its root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", pattern],
        cwd=TREE,
        check=True,
        capture_output=True,
        text=True,
    )
    return [Path(name) for name in listed.stdout.split("\0") if name and (TREE / name).exists()]
