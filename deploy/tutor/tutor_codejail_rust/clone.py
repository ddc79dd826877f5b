"""Files of the clone that `hatch_build.py` has put into this package."""

from importlib import resources

FILES = resources.files(__package__) / "clone"


def content(name):
    return (FILES / name).read_bytes()


def text(name):
    return content(name).decode("utf-8")
