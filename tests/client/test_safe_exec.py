"""`safe_exec`, which the rest of LMS and CMS call. It puts its prolog before the code."""

import io
import zipfile

import pytest
import random2
from codejail.safe_exec import SafeExecException
from xblocks_contrib.problem.capa.safe_exec.safe_exec import normalize_error_message, safe_exec


def failure_of(code, **arguments):
    with pytest.raises(SafeExecException) as failure:
        safe_exec(code, {}, **arguments)
    return normalize_error_message(str(failure.value))


@pytest.mark.parametrize("seed", [0, 1, 723, 10**12, None])
def test_random_numbers_follow_the_seed(seed):
    script = """
        many = [random.randint(1, 10**6) for _ in range(5)]
        floats = [random.random(), random.uniform(-1, 1), random.gauss(0, 1)]
        picked = [random.choice('abcdef'), random.sample(list(range(100)), 5)]
        shuffled = list(range(10))
        random.shuffle(shuffled)
        again = random.Random(7).random()
    """
    code = "\n".join(line.strip() for line in script.splitlines())
    expected = {"random": random2.Random(seed)}
    expected["random"].Random = random2.Random
    exec(code, expected)

    received = {}
    safe_exec(code, received, random_seed=seed)

    names = ["many", "floats", "picked", "shuffled", "again"]
    if seed is None:
        names = ["again"]
    assert {name: received[name] for name in names} == {name: expected[name] for name in names}


def test_unseeded_runs_differ():
    code = "import numpy.random\nr = [random.random(), numpy.random.random()]"
    runs = []
    for _ in range(8):
        run = {}
        safe_exec(code, run)
        runs.append(run["r"])
    assert len({seen for seen, _ in runs}) == 8
    assert len({seen for _, seen in runs}) == 8


def test_the_modules_that_capa_assumes_are_there():
    received = {}
    safe_exec(
        """
results = {
    'numpy': numpy.arange(6).reshape(2, 3).sum(axis=0).tolist(),
    'numpy.linalg': numpy.linalg.solve([[2.0, 0.0], [0.0, 4.0]], [1.0, 1.0]).tolist(),
    'math': math.gcd(12, 18),
    'scipy': scipy.special.comb(5, 2, exact=True),
    'calc': calc.evaluator({'x': 3}, {}, 'x^2 + 1'),
    'chemcalc': chemcalc.chemical_equations_equal('H2 + O2 -> H2O2', 'O2 + H2 -> H2O2'),
    'chemtools': chemtools.vsepr_parse_user_answer('{"geometry": "AX2", "atoms": {"c0": "B"}}'),
    'miller': miller.miller(list(numpy.identity(3))),
    'draganddrop': draganddrop.grade('[{"1": "here"}]', {'1': 'here'}),
    'eia': eia.iseia(1000),
    'division': 1 / 2,
    'xrange': list(xrange(3)),
}
""",
        received,
        random_seed=1,
    )
    assert received["results"] == {
        "numpy": [3, 5, 7],
        "numpy.linalg": [0.5, 0.25],
        "math": 6,
        "scipy": 10,
        "calc": 10,
        "chemcalc": True,
        "chemtools": {"geometry": "AX2", "atoms": {"c0": "B"}},
        "miller": "(1,1,1)",
        "draganddrop": True,
        "eia": True,
        "division": 0.5,
        "xrange": [0, 1, 2],
    }


def test_a_course_library_can_be_imported_from_the_zip():
    received = {}
    safe_exec(
        "import bounds\nlimit = bounds.upper(20)\norigin = bounds.__file__",
        received,
        python_path=["python_lib.zip"],
        extra_files=[("python_lib.zip", python_lib())],
    )
    assert received["limit"] == 23
    assert received["origin"] == "python_lib.zip/bounds.py"


def python_lib():
    """A library as large as those of real courses: the service reads it in several pieces."""
    library = io.BytesIO()
    with zipfile.ZipFile(library, "w") as archive:
        archive.writestr("bounds.py", "def upper(x):\n    return x + 3\n")
        archive.writestr("filler.bin", random2.Random(1).getrandbits(8 * 140_000).to_bytes(140_000))
    return library.getvalue()


def test_a_library_that_was_not_sent_is_a_fault_of_the_service():
    assert failure_of("x = 1", python_path=["python_lib.zip"], extra_files=[]) == (
        "Couldn't execute sandboxed code: See logs.. For more information check Codejail Service logs."
    )


def test_an_exception_shows_its_traceback():
    assert failure_of("def check():\n    raise ValueError('no such root')\ncheck()\n") == (
        "Couldn't execute jailed code: stdout: b'', stderr: b'"
        r"Traceback (most recent call last):\n"
        r'  File "jailed_code", line XXX, in <module>\n'
        r"    exec(code, g_dict)\n"
        r'  File "<string>", line XXX, in <module>\n'
        r'  File "<string>", line XXX, in check\n'
        r"ValueError: no such root\n"
        "' with status code: 1. For more information check Codejail Service logs."
    )


@pytest.mark.parametrize(
    ("code", "stderr", "status"),
    [
        ("import time\ntime.sleep(60)", "", -9),
        ("import sys\nsys.exit('bye')", r"bye\n", 1),
        ("import sys\nsys.exit(3)", "", 3),
        ("import os\nos._exit(7)", "", 7),
        ("import os\nos.abort()", "", -6),
    ],
    ids=["sleeps too long", "exits with text", "exits with a number", "_exit", "abort"],
)
def test_another_end_shows_its_status(code, stderr, status):
    assert failure_of(code) == (
        f"Couldn't execute jailed code: stdout: b'', stderr: b'{stderr}' with status code: {status}"
        ". For more information check Codejail Service logs."
    )
