"""Generates a course's `python_lib.zip`. It is as large as MITx's grading library (40 modules, 140 kB as
zip), and takes as long to compile. The bytes are the same each time.

Each module has functions and classes of its own. The package imports all modules, as graders' packages do.
"""

import io
import random
import zipfile

MODULES = 40
# With this number, an import compiles for some 100 ms, as an import of MITx's library does.
FUNCTIONS_PER_MODULE = 8
# With this number, the archive has 140 kB: half of a grader's text is documentation.
DETAIL_WORDS = 100

NOUNS = "answer attempt bound credit domain entry formula grade hint input kernel limit matrix norm option".split()
VERBS = "accept bisect check derive expand find grade hash infer join keep list match narrow order parse".split()
WORDS = (
    "the a of for each when value that learners send with tolerance before credit is given relative or "
    "absolute and then compare sample variable as text number unit exact rounded twice only if not"
).split()

FUNCTION = '''
def {name}({a}, {b}={number}, *, tolerance={small}, {c}=None):
    """{summary}

    {detail}
    """
    if {c} is None:
        {c} = [{items}]
    total = {number}
    for index, item in enumerate({c}):
        if abs(item - {a}) <= tolerance * max(1, abs({b})):
            total += index * item - {b}
        elif item > {number} and index % {modulus}:
            total -= {a} / (item + {modulus})
        else:
            total = total * {small} + {{"{a}": {a}, "{b}": item}}["{b}"]
    try:
        return {{"{text}": total, "{c}": [value for value in {c} if value != {a}]}}
    except (TypeError, ValueError) as error:
        raise Mistake("{summary}") from error
'''

CLASS = '''

class {name}({base}):
    """{summary}"""

    {a} = {number}

    def __init__(self, {b}, {c}=({items})):
        self.{b} = {b}
        self.{c} = tuple({c})

    def check(self, attempt):
        """{detail}"""
        return abs(attempt - self.{b}) <= {small} * (1 + len(self.{c}))

    @property
    def {text}(self):
        return f"{{self.{b}}} {summary} {{self.{c}!r}}"
'''


def words(source, count):
    return " ".join(source.choice(WORDS) for _ in range(count))


def fields(source):
    a, b, c = source.sample(NOUNS, 3)
    return {
        "a": a,
        "b": b,
        "c": c,
        "number": source.randrange(1, 10_000),
        "small": round(source.uniform(0.001, 0.1), 4),
        "modulus": source.randrange(2, 9),
        "items": ", ".join(str(source.randrange(1_000)) for _ in range(5)),
        "summary": words(source, 8).capitalize(),
        "detail": words(source, DETAIL_WORDS).capitalize(),
        "text": f"{source.choice(VERBS)}_{source.choice(NOUNS)}_{source.randrange(1_000)}",
    }


def module(source, number):
    """The text of a module. The first module has what the others build on."""
    parts = [
        f'"""{words(source, 20).capitalize()}."""\n\nimport math\nimport re\nfrom collections import OrderedDict\n'
    ]
    if number == 0:
        parts.append("\n\nclass Mistake(Exception):\n    pass\n\n\nclass Grader:\n    pass\n")
    else:
        parts.append("from .part_00 import Grader, Mistake\n")
    for index in range(FUNCTIONS_PER_MODULE):
        name = f"{source.choice(VERBS)}_{source.choice(NOUNS)}_{index}"
        parts.append("\n" + FUNCTION.format(name=name, **fields(source)))
        if index % 4 == 0:
            parts.append(CLASS.format(name=f"Grader{index}", base="Grader", **fields(source)))
    return "".join(parts)


def library():
    """The archive's bytes."""
    source = random.Random(140)
    names = [f"part_{number:02}" for number in range(MODULES - 1)]
    imports = "".join(f"from . import {name}\n" for name in names)
    files = {
        "grading/__init__.py": imports + "\n\ndef grade(expected, attempt):\n"
        "    return part_01.Grader0(expected).check(attempt)\n"
    }
    for number, name in enumerate(names):
        files[f"grading/{name}.py"] = module(source, number)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in files.items():
            # The time is fixed, so that two archives have the same bytes.
            archive.writestr(zipfile.ZipInfo(path), text, zipfile.ZIP_DEFLATED)
    return data.getvalue()
