"""Prints the workloads as JSON: name, code, globals, whether they get the course library, and what the
answer must be. Prints also the library itself, in hex, and the script that the original starts Python with.

The prolog is that of the real client, taken from its package (PyPI `xblocks-contrib`). The script is the
one that `edx-codejail` would have run.
"""

import json
import sys
import warnings
from textwrap import dedent

from codejail import jail_code
from codejail.safe_exec import safe_exec
from course_library import library
from django.conf import settings

# Importing the client warns about `fs`, which is not used here.
warnings.simplefilter("ignore")
settings.configure(STATIC_URL="/static/")
from xblocks_contrib.problem.capa.safe_exec.safe_exec import CODE_PROLOG, LAZY_IMPORTS

SEED = 723


def as_the_client_sends(code):
    return CODE_PROLOG % SEED + LAZY_IMPORTS + dedent(code)


CONTEXT = {"seed": SEED, "anonymous_student_id": "5afe5d9bb03796557ee2614f5c9611fb"}

# For each name: the code, the globals, whether the library is sent along, and some globals of the
# answer. If the run must fail: a text, the last line of standard error.
WORKLOADS = {
    "trivial": ("x = 1 + 1", {}, False, {"x": 2}),
    "problem": (
        as_the_client_sends("""
            mass = random.randint(2, 9)
            angle = random.choice([15, 30, 45, 60])
            friction = round(random.uniform(0.1, 0.4), 2)
            g = 9.81
            weight = mass * g
            normal = weight * math.cos(math.radians(angle))
            slides = math.tan(math.radians(angle)) > friction
            acceleration = g * (math.sin(math.radians(angle)) - friction * math.cos(math.radians(angle)))
            options = sorted({round(acceleration * factor, 2) for factor in (0.5, 0.9, 1, 1.1, 2)})
            random.shuffle(options)
            answer = round(acceleration, 2)
            hint = '$a = g(\\\\sin%d^\\\\circ - %s\\\\cos%d^\\\\circ)$' % (angle, friction, angle)
            """),
        CONTEXT,
        False,
        {"seed": SEED, "g": 9.81},
    ),
    "numpy + scipy": (
        dedent("""
            import numpy, scipy.integrate, scipy.optimize
            area = scipy.integrate.quad(numpy.cos, 0, numpy.pi / 2)[0]
            root = scipy.optimize.brentq(lambda t: t * t - 2, 0, 2)
            solved = numpy.linalg.solve([[2.0, 1.0], [1.0, 3.0]], [1.0, 2.0])
            x = int(round(area + root * root + numpy.eye(3).sum()))
            solved = [round(float(value), 6) for value in solved]
            """),
        {},
        False,
        {"x": 6, "solved": [0.2, 0.6]},
    ),
    "sympy": (
        dedent("""
            import sympy
            t = sympy.Symbol('t')
            factored = str(sympy.factor(t**2 - 1))
            slope = str(sympy.diff(sympy.sin(t) * t, t))
            same = sympy.simplify((t + 1)**2 - t**2 - 2 * t - 1) == 0
            """),
        {},
        False,
        {"factored": "(t - 1)*(t + 1)", "slope": "t*cos(t) + sin(t)", "same": True},
    ),
    "matplotlib": (
        dedent("""
            import io, os
            os.environ["MPLCONFIGDIR"] = os.environ.get("TMPDIR", "tmp")
            import matplotlib
            matplotlib.use("Agg")
            from matplotlib.figure import Figure
            figure = Figure(figsize=(3, 2))
            axes = figure.subplots()
            axes.plot([0, 1, 2], [0, 1, 4])
            picture = io.BytesIO()
            figure.savefig(picture, format="png")
            x = picture.getvalue()[:4] == b"\\x89PNG"
            """),
        {},
        False,
        {"x": True},
    ),
    "chemcalc": (
        dedent("""
            from chem import chemcalc
            equal = chemcalc.chemical_equations_equal("2H2 + O2 -> 2H2O", "O2 + 2H2 -> 2H2O")
            shown = chemcalc.render_to_html("H2O")
            """),
        {},
        False,
        {"equal": True},
    ),
    "course library": (
        as_the_client_sends("""
            import grading
            right = grading.grade(5, 5.0001)
            wrong = grading.grade(5, 7)
            """),
        CONTEXT,
        True,
        {"right": True, "wrong": False},
    ),
    "failing": (
        "def check(attempt):\n    raise ValueError(f'no root near {attempt}')\ncheck(3)\n",
        {},
        False,
        "ValueError: no root near 3",
    ),
}


class Captured(Exception):
    """The script that the original would run, taken before it runs."""


def original_script(python_path):
    def capture(command, code, **arguments):
        raise Captured(code)

    jail_code.configure("python", sys.executable)
    run, jail_code.jail_code = jail_code.jail_code, capture
    try:
        safe_exec("", {}, python_path=python_path, extra_files=[(name, b"") for name in python_path])
    except Captured as captured:
        return str(captured)
    finally:
        jail_code.jail_code = run


def main():
    workloads = [
        {"name": name, "code": code, "globals": globals_dict, "library": with_library, "expected": expected}
        for name, (code, globals_dict, with_library, expected) in WORKLOADS.items()
    ]
    scripts = {"plain": original_script([]), "with_library": original_script(["python_lib.zip"])}
    json.dump({"workloads": workloads, "library": library().hex(), "scripts": scripts}, sys.stdout)


if __name__ == "__main__":
    main()
