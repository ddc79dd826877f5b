"""Random programs and globals: hypothesis makes them, and all sides execute them.

A program is a few statements over a few names. Many of them fail. Its end is random, too. Nothing in a program
may show an address or the order of a set of texts, since these differ in any two interpreters.
"""

import json
import re

from cases import Case
from comparison import judge
from hypothesis import HealthCheck, assume, given, seed, settings
from hypothesis import strategies as st

NAMES = "abcde"
ADDRESS = re.compile("at 0x[0-9a-f]{6}")

# Texts that have made trouble, in addition to those that hypothesis finds by itself.
texts = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.text(st.characters(categories=["Cs", "Cc", "Lu", "So"]), max_size=4),
    st.sampled_from(["", "__builtins__", "a", "\ud800", "\ud83d\ude00", "\x00", "'\"", "\u2028"]),
)
numbers = st.one_of(
    st.integers(-5, 5),
    st.integers(),
    st.integers(-(10**40), 10**40),
    st.floats(),
    st.booleans(),
    st.none(),
)
json_values = st.recursive(
    numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
globals_dicts = st.dictionaries(st.sampled_from(NAMES) | texts, json_values, max_size=5)

names = st.sampled_from(NAMES)
python_values = st.recursive(
    numbers | texts | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.one_of(texts, numbers, st.binary(max_size=2)), inner, max_size=2)
    ),
    max_leaves=5,
)
# There are no literals of nan and inf.
literals = python_values.map(lambda value: repr(value).replace("nan", "float('nan')").replace("inf", "float('inf')"))
expressions = st.recursive(
    st.one_of(names, literals),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+ - * / // % & | == < in is and or".split()), inner).map(
            lambda parts: "({} {} {})".format(*parts)
        ),
        st.tuples(
            st.sampled_from("len repr str type(1) list tuple dict abs sum sorted float bool ascii".split()), inner
        ).map(lambda parts: f"{parts[0].replace('type(1)', 'int')}({parts[1]})"),
        st.tuples(inner, inner).map(lambda parts: f"{parts[0]}[{parts[1]}]"),
        st.tuples(inner, st.sampled_from(["upper", "keys", "append", "real", "encode", "nothing"])).map(
            lambda parts: f"({parts[0]}).{parts[1]}"
        ),
        inner.map(lambda part: f"[x for x in {part}]"),
        inner.map(lambda part: f"(lambda x: x)({part})"),
    ),
    max_leaves=4,
)

simple = st.one_of(
    st.tuples(names, expressions).map(lambda p: f"{p[0]} = {p[1]}"),
    st.tuples(names, st.sampled_from(["+=", "-=", "*="]), expressions).map(lambda p: f"{p[0]} {p[1]} {p[2]}"),
    st.tuples(names, expressions, expressions).map(lambda p: f"{p[0]}[{p[1]}] = {p[2]}"),
    names.map(lambda name: f"del {name}"),
    expressions.map(lambda e: f"print({e})"),
    expressions.map(lambda e: f"assert {e}, {e}"),
    expressions.map(lambda e: f"raise ValueError({e})"),
    st.tuples(names, names).map(lambda p: f"{p[0]}.append({p[1]})"),
    st.sampled_from(
        [
            "import math, random; random.seed(3); e = random.random()",
            "import random; random.seed(repr(a)); b = random.choice([1, 2, 3])",
            "import decimal; d = str(decimal.Decimal(1) / 7)",
            "import json; c = json.loads(json.dumps(a))",
            "import numpy; c = numpy.array([1, 2]).tolist()",
            "import re; d = re.findall('.', str(a))[:5]",
            "import sys; sys.stderr.write(ascii(b) + '\\n')",
            "import copy; e = copy.deepcopy(a)",
            "import statistics; d = statistics.mean(a)",
            "globals()[a] = b",
            "x = = y",
            "def f(x): return x if x in (0, None) else f(x - 1)",
            "e = f(a)",
            "class A(dict): pass",
            "b = A(a)",
            "exec(a)",
            "eval(repr(a))",
            "a.append(a)",
            "__builtins__ = a",
        ]
    ),
)


def indented(statements):
    return "\n".join("    " + line for statement in statements for line in statement.splitlines())


blocks = st.lists(simple, min_size=1, max_size=3).map(indented)
compound = st.one_of(
    st.tuples(expressions, blocks).map(lambda p: f"for x in {p[0]}:\n{p[1]}"),
    st.tuples(expressions, blocks, blocks).map(lambda p: f"if {p[0]}:\n{p[1]}\nelse:\n{p[2]}"),
    st.tuples(blocks, blocks).map(lambda p: f"try:\n{p[0]}\nexcept Exception as error:\n    d = str(error)\n{p[1]}"),
    st.tuples(blocks, blocks).map(lambda p: f"try:\n{p[0]}\nfinally:\n{p[1]}"),
    st.tuples(names, blocks).map(lambda p: f"def {p[0]}(x):\n{p[1]}\n    return x\n{p[0]}(1)"),
    blocks.map(lambda block: f"class A:\n{block}"),
    blocks.map(lambda block: f"import contextlib\nwith contextlib.suppress(TypeError):\n{block}"),
    blocks.map(lambda block: f"def g():\n    yield 1\n{block}\na = list(g())"),
)
endings = st.sampled_from(
    [
        *[""] * 12,
        "import sys; sys.exit(a)",
        "import sys; sys.exit(3)",
        "raise SystemExit",
        "import os; os._exit(4)",
        "import os; os.write(1, repr(a).encode('utf-8', 'replace')); os._exit(0)",
        "import atexit, sys; atexit.register(sys.stderr.write, 'end'); sys.exit(1)",
        "import threading; threading.Thread(target=lambda: globals().update(e=1)).start()",
        "import os; os.write(1, b'x')",
        "raise KeyboardInterrupt",
        "import sys; sys.stdout = sys.__stdout__; print(a)",
        "1 / 0",
    ]
)
programs = st.tuples(st.lists(st.one_of(simple, compound), max_size=5), endings).map(
    lambda parts: "\n".join([*parts[0], parts[1]])
)


def differing_program(sides, count, number):
    """The first of `count` programs to which the sides answer differently, in its smallest form; or None.
    `number` is the seed of the sequence.
    """

    @seed(number)
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(programs, globals_dicts)
    def all_agree(code, globals_dict):
        case = Case("a generated program", code=code, globals=json.dumps(globals_dict))
        answers = sides.answers(case)
        assume(not ADDRESS.search(answers["original"]))
        verdict = judge(case, answers)
        assert verdict == "agrees", f"{verdict}\n  globals {case.globals}\n  code {json.dumps(code)}"

    try:
        all_agree()
    except AssertionError as error:
        return str(error)
    return None
