"""What preloaded libraries have of `random` in a run that has replaced `random`."""

from warm_interpreter import NO_PROLOG, PRELOAD, PROLOG, execute, warm

HOLDER = """
import random, random as alias
from random import Random, choice, randint as between
class Own(Random):
    def twice(self):
        return super().random() * 2
class Owner(Own):
    rng, pick, kind = random.Random(), random.choice, Random
def default(pick=choice, rng=random, *, named=random.randint):
    return pick("abcdefgh"), rng, named(1, 99)
rng, fixed = Random(), Random(4)
draw, fixed_draw = rng.random, fixed.random
"""

HELD = """
import lib
r = (lib.random is random, lib.alias is random, lib.Random.__module__, lib.choice("abcdefgh"),
     lib.between(1, 99), [c.__module__ for c in lib.Owner.__mro__], lib.Own(3).twice(),
     lib.Owner(3).rng.__class__.__module__, lib.Owner.pick("abcdefgh"), lib.Owner.kind.__module__,
     lib.default()[0], lib.default()[1] is random, lib.default()[2], lib.fixed.random(),
     lib.fixed_draw(), lib.draw.__self__ is lib.rng, lib.rng.__class__.__module__,
     isinstance(lib.Own(), random_module.Random), random.random())
"""


def test_every_form_in_which_a_library_keeps_something_of_random_is_bound_anew(tmp_path):
    (tmp_path / "lib.py").write_text(HOLDER)
    runs = [PROLOG + HELD, NO_PROLOG + HELD]
    fresh, _ = execute(tmp_path, runs)
    assert all(answer.startswith("(True") for answer in fresh), fresh
    assert warm(tmp_path, runs, ["random2", "lib"]) == fresh


def test_the_libraries_see_the_real_random_if_it_is_replaced_after_they_were_imported(tmp_path):
    prolog = PROLOG.replace("from __future__ import absolute_import, division", "")
    result = "r = m.random is random, type(m.random).__name__"
    code = f"import sympy.core.symbol as m\n{prolog}\n{result}"
    assert warm(tmp_path, [code], PRELOAD) == execute(tmp_path, [code])[0] == ["(False, 'module')"]


def test_a_replacement_that_lacks_a_name_fails_the_import_as_in_a_fresh_interpreter(tmp_path):
    code = "import sys, types; sys.modules['random'] = types.ModuleType('random')\nimport tempfile"
    fresh, _ = execute(tmp_path, [code])
    assert "cannot import name 'Random'" in fresh[0]
    assert warm(tmp_path, [code], ["tempfile"]) == fresh
