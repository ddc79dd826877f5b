"""The zip files that courses send."""

import functools
import io
import zipfile

# The files of each archive, by the archive's name.
LIBRARIES = {
    "physics": {
        "physics/__init__.py": "from .units import km\nNAME = __name__\n",
        "physics/units.py": "def km(metres):\n    return metres / 1000\n",
        "physics/deep/__init__.py": "",
        "physics/deep/er.py": "from ..units import km\nfrom . import __name__ as above\n",
        "physics/table.csv": "a,b\n1,2\n",
        "grading.py": (
            '__all__ = ["near", "_private"]\n'
            "def near(a, b):\n    return abs(a - b) < 0.01\n"
            "def hidden():\n    return 1\n_private = 5\n"
        ),
        "no_all.py": "public = 1\n_private = 2\nimport math\n",
        "data.txt": "Grüße\n",
        "namespace/part.py": "x = __package__\n",
        "__main__.py": "x = 'never imported'\n",
    },
    "broken": {
        "syntax.py": "def f(:\n    pass\n",
        "tabs.py": "if 1:\n\tx = 1\n        y = 2\n",
        "raises.py": "x = 1\nraise ValueError('while importing')\n",
        "deeper.py": "def f():\n    return 1 / 0\n",
        "needs.py": "import not_there\n",
        "circular_a.py": "import circular_b\nx = circular_b.y\n",
        "circular_b.py": "import circular_a\ny = circular_a.x\n",
        "latin.py": b"x = '\xe9'\n",
        "declared.py": b"# coding: latin-1\nx = '\xe9'\n",
        "bom.py": b"\xef\xbb\xbfx = 'bom'\n",
        "null.py": "x = 1\0\n",
        "exits.py": "import sys\nsys.exit(4)\n",
        "prints.py": "print('to nowhere')\nx = 1\n",
        "writes.py": "import sys\nsys.__stdout__.write('corrupt')\n",
    },
    "clashes": {
        "math.py": "pi = 3\n",
        "statistics.py": "mean = 'mine'\n",
        "numpy.py": "array = 'mine'\n",
        "numpy/__init__.py": "array = 'my package'\n",
        "sys.py": "argv = 'mine'\n",
        "json.py": "dumps = 'mine'\n",
        "six.py": "PY3 = 'mine'\n",
        "jailed_code.py": "x = 'mine'\n",
        "random.py": "random = 'mine'\n",
        "tmp.py": "x = 'tmp of the library'\n",
        "calculator.py": "import math\nroot = math.sqrt(16)\n",
    },
    "random": {
        "draws.py": "import random\nfirst = random.random()\ndef draw():\n    return random.randint(1, 10**9)\n",
        "names.py": (
            "from random import choice, Random\nown = Random(5)\ndef draw():\n    return choice(range(10**9))\n"
        ),
        "arrays.py": "import numpy\ndef draw():\n    return numpy.random.RandomState(3).rand(2).tolist()\n",
        "symbols.py": "import sympy\nx = sympy.Symbol('x')\ndef text():\n    return str(sympy.factor(x**2 - 1))\n",
        "plots.py": "import matplotlib.pyplot as plt\ndef backend():\n    return plt.get_backend()\n",
        "patches.py": "import math, statistics\nmath.tau = 6\nstatistics.mean = lambda data: 'patched'\n",
    },
    "empty": {},
    "compiled": {"only.pyc": b"not a module"},
}


@functools.cache
def library(name):
    """The archive. "garbage" and "half" are no archives."""
    if name == "garbage":
        return b"this is no archive"
    if name == "half":
        return library("physics")[:300]
    data = io.BytesIO()
    method = zipfile.ZIP_STORED if name == "random" else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(data, "w", method) as archive:
        for path, content in LIBRARIES[name].items():
            # Without the time of day the archive always has the same bytes.
            archive.writestr(zipfile.ZipInfo(path), content, method)
    return data.getvalue()
