"""Preloading watches libraries while they load. Nothing of that stays in the libraries."""

from warm_interpreter import execute, warm


def test_libraries_keep_nothing_of_what_stood_in_while_they_were_loaded(tmp_path):
    (tmp_path / "lib.py").write_text("from random import seed\nfrom atexit import register")
    code = """
import lib, random, atexit
r = lib.seed is random.seed, lib.register is atexit.register, random.Random.seed.__qualname__
"""
    assert warm(tmp_path, [code], ["lib"]) == execute(tmp_path, [code])[0]
