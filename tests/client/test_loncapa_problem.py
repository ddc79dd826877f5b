"""Whole problems as an author writes them: rendered for a student, answered, graded."""

import gettext
import io
import textwrap
import zipfile
from types import SimpleNamespace

import pytest
import random2
from django.template.loader import get_template
from lxml import html
from xblocks_contrib.problem.capa.capa_problem import LoncapaProblem, LoncapaSystem
from xblocks_contrib.problem.capa.responsetypes import LoncapaProblemError, ResponseError
from xblocks_contrib.problem.capa.safe_exec.safe_exec import normalize_error_message

FAILURE = "Couldn't execute jailed code: stdout: b'', stderr: b'{}' with status code: {}"
SEE_LOGS = ". For more information check Codejail Service logs."


@pytest.fixture
def problem(tmp_path):
    """Makes a LoncapaProblem of XML, for a student with a certain seed."""

    def make(xml, seed=723, python_lib=None):
        system = LoncapaSystem(
            ajax_url="/ajax",
            anonymous_student_id="student",
            cache=None,
            can_execute_unsafe_code=lambda: False,
            get_python_lib_zip=lambda: python_lib,
            DEBUG=False,
            i18n=gettext.NullTranslations(),
            render_template=lambda name, context: get_template(name).render(context),
            # Without a directory `code`, which the client would name in python_path.
            resources_fs=SimpleNamespace(root_path=str(tmp_path)),
            seed=seed,
            xqueue=None,
        )
        block = SimpleNamespace(correctness_available=lambda: True)
        return LoncapaProblem(textwrap.dedent(xml), "p", system, block, seed=seed)

    return make


def paragraphs(a_problem):
    """The text of each <p> that the student reads."""
    page = html.fromstring(a_problem.get_html())
    texts = (" ".join(p.text_content().split()) for p in page.iter("p"))
    return [text for text in texts if text]


def grades(a_problem, **answers):
    """Correctness, points and message of each input."""
    a_problem.grade_answers({f"p_{number[1:]}": answer for number, answer in answers.items()})
    correct_map = a_problem.correct_map
    return [
        (correct_map.get_correctness(key), correct_map.get_npoints(key), correct_map.get_msg(key))
        for key in sorted(correct_map)
    ]


RANDOMIZED = """
    <problem>
      <script type="loncapa/python">
    import random
    a = random.randint(100, 999)
    b = random.choice([3, 7, 11, 13])
    samples = sorted(random.sample(range(50), 4))
    product = a * b
      </script>
      <p>What is $a times $b?</p>
      <p>The samples are $samples.</p>
      <numericalresponse answer="$product"><textline label="Product"/></numericalresponse>
    </problem>
"""


@pytest.mark.parametrize("seed", [1, 2, 723, 999])
def test_a_randomized_problem_shows_the_numbers_of_the_students_seed(problem, seed):
    random = random2.Random(seed)
    a = random.randint(100, 999)
    b = random.choice([3, 7, 11, 13])
    samples = sorted(random.sample(range(50), 4))

    for _ in range(2):
        randomized = problem(RANDOMIZED, seed)
        assert paragraphs(randomized) == [
            f"What is {a} times {b}?",
            f"The samples are {samples}.",
        ]
        assert grades(randomized, _2_1=str(a * b)) == [("correct", 1, "")]
        assert grades(randomized, _2_1=str(a * b + 1)) == [("incorrect", 0, "")]


def test_a_check_function_grades_with_numpy(problem):
    eigenvalues = problem("""
        <problem>
          <script type="loncapa/python">
        import numpy as np

        matrix = np.array([[2.0, 1.0], [1.0, 2.0]])
        shown = matrix.tolist()

        def check(expect, answer):
            given = np.sort(np.array([float(part) for part in answer.split(',')]))
            right = np.linalg.eigvalsh(matrix)
            near = np.isclose(given, right)
            if near.all():
                return {'ok': True, 'msg': 'sum {:.1f}'.format(given.sum())}
            if near.any():
                return {'ok': 'partial', 'msg': 'one is right', 'grade_decimal': 0.25}
            return {'ok': False, 'msg': 'expected ' + expect}
          </script>
          <p>The eigenvalues of $shown?</p>
          <customresponse cfn="check" expect="1, 3"><textline label="Both"/></customresponse>
        </problem>
    """)
    assert paragraphs(eigenvalues) == ["The eigenvalues of [[2.0, 1.0], [1.0, 2.0]]?"]
    assert grades(eigenvalues, _2_1="3, 1") == [("correct", 1, "sum 4.0")]
    assert grades(eigenvalues, _2_1="1, 4") == [("partially-correct", 0.25, "one is right")]
    assert grades(eigenvalues, _2_1="5, 6") == [("incorrect", 0, "expected 1, 3")]


def test_a_check_function_judges_several_inputs_with_what_it_asks_for(problem):
    two_inputs = problem("""
        <problem>
          <script type="loncapa/python">
        def check(expect, answers, seed, options):
            return {
                'overall_message': 'seed {}, {}'.format(seed, options),
                'input_list': [
                    {'ok': answer == part, 'msg': answer}
                    for answer, part in zip(answers, expect.split('+'))
                ],
            }
          </script>
          <customresponse cfn="check" expect="x+y" options="strict" cfn_extra_args="seed options">
            <textline label="First"/><textline label="Second"/>
          </customresponse>
        </problem>
    """)
    # The client asks the context for `options`, which it sets when it grades.
    assert grades(two_inputs, _2_1="x", _2_2="z") == [
        ("correct", 1, "x"),
        ("incorrect", 0, "z"),
    ]
    assert two_inputs.correct_map.get_overall_message() == "seed 723, strict"


def test_an_answer_element_grades_in_place(problem):
    inline = problem("""
        <problem>
          <customresponse expect="ten">
            <textline label="Number"/>
            <answer>
        correct[0] = 'correct' if submission[0] == expect else 'incorrect'
        messages[0] = 'you said ' + submission[0]
            </answer>
          </customresponse>
        </problem>
    """)
    assert grades(inline, _2_1="ten") == [("correct", 1, "you said ten")]
    assert grades(inline, _2_1="nine") == [("incorrect", 0, "you said nine")]


def test_a_problem_uses_the_courses_python_lib(problem):
    library = io.BytesIO()
    with zipfile.ZipFile(library, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("physics/__init__.py", "")
        archive.writestr("physics/units.py", "def km(metres):\n    return metres / 1000\n")
        archive.writestr("grading.py", "def near(a, b):\n    return abs(a - b) < 0.01\n")

    distance = problem(
        """
        <problem>
          <script type="loncapa/python">
        from physics.units import km
        import grading

        metres = random.randint(1000, 9999)
        expected = km(metres)

        def check(expect, answer):
            return grading.near(float(answer), km(metres))
          </script>
          <p>How many kilometres are $metres metres?</p>
          <customresponse cfn="check" expect="$expected"><textline label="km"/></customresponse>
        </problem>
        """,
        seed=5,
        python_lib=library.getvalue(),
    )
    metres = random2.Random(5).randint(1000, 9999)
    assert paragraphs(distance) == [f"How many kilometres are {metres} metres?"]
    assert grades(distance, _2_1=str(metres / 1000)) == [("correct", 1, "")]
    assert grades(distance, _2_1=str(metres)) == [("incorrect", 0, "")]


def test_a_formula_is_compared_at_sampled_points(problem):
    formula = problem("""
        <problem>
          <script type="loncapa/python">
        from sympy import diff, symbols
        x = symbols('x')
        derivative = str(diff(x**3 + 2*x, x)).replace('**', '^')
          </script>
          <p>The derivative of x^3 + 2*x?</p>
          <formularesponse type="cs" samples="x@1:10#10" answer="$derivative">
            <responseparam type="tolerance" default="0.00001"/>
            <formulaequationinput label="f'(x)"/>
          </formularesponse>
        </problem>
    """)
    assert formula.context["derivative"] == "3*x^2 + 2"
    assert grades(formula, _2_1="2 + 3*x*x") == [("correct", 1, "")]
    assert grades(formula, _2_1="3*x*x") == [("incorrect", 0, "")]


def test_a_hint_function_looks_at_the_answer(problem):
    hinted = problem("""
        <problem>
          <script type="loncapa/python">
        def hint(answer_ids, student_answers, new_cmap, old_cmap):
            given = student_answers[answer_ids[0]]
            new_cmap.set_hint_and_mode(answer_ids[0], 'not ' + given, 'always')
          </script>
          <numericalresponse answer="4">
            <textline label="Two and two"/>
            <hintgroup hintfn="hint"/>
          </numericalresponse>
        </problem>
    """)
    assert grades(hinted, _2_1="5") == [("incorrect", 0, "")]
    assert hinted.correct_map.get_hint("p_2_1") == "not 5"


def author_reads(failure):
    """The message, which the client escaped as HTML, without what differs from run to run."""
    return normalize_error_message(failure.value.args[0].unescape())


def test_a_script_that_raises_is_shown_to_the_author(problem):
    with pytest.raises(LoncapaProblemError) as failure:
        problem("""
            <problem>
              <script type="loncapa/python">
            limit = 3
            raise ValueError('no root below ' + str(limit))
              </script>
            </problem>
        """)
    traceback = (
        r"Traceback (most recent call last):\n"
        r'  File "jailed_code", line XXX, in <module>\n'
        r"    exec(code, g_dict)\n"
        r'  File "<string>", line XXX, in <module>\n'
        r"ValueError: no root below 3\n"
    )
    assert author_reads(failure) == ("Error while executing script code: " + FAILURE.format(traceback, 1) + SEE_LOGS)


def test_a_script_that_never_ends_is_stopped_at_its_time_limit(problem):
    with pytest.raises(LoncapaProblemError) as failure:
        problem("""
            <problem>
              <script type="loncapa/python">
            import time
            time.sleep(3600)
              </script>
            </problem>
        """)
    assert author_reads(failure) == ("Error while executing script code: " + FAILURE.format("", -9) + SEE_LOGS)


@pytest.mark.parametrize(
    ("answer", "stderr", "status"),
    [
        (
            "oops",
            r"Traceback (most recent call last):\n"
            r'  File "jailed_code", line XXX, in <module>\n'
            r"    exec(code, g_dict)\n"
            r'  File "<string>", line XXX, in <module>\n'
            r'  File "<string>", line XXX, in check\n'
            r"KeyError: 'oops'\n",
            1,
        ),
        ("sleep", "", -9),
        ("crash", "", -6),
    ],
)
def test_a_check_function_that_fails_is_a_response_error(problem, answer, stderr, status):
    fragile = problem("""
        <problem>
          <script type="loncapa/python">
        import os, time

        def check(expect, answer):
            {'sleep': lambda: time.sleep(3600), 'crash': os.abort, 'fine': int}[answer]()
            return True
          </script>
          <customresponse cfn="check"><textline label="Anything"/></customresponse>
        </problem>
    """)
    with pytest.raises(ResponseError) as failure:
        grades(fragile, _2_1=answer)
    # Python's repr of the bytes escapes the quote.
    stderr = stderr.replace("'oops'", r"\'oops\'")
    message = normalize_error_message(failure.value.args[0])
    assert message == FAILURE.format(stderr, status) + SEE_LOGS
    assert grades(fragile, _2_1="fine") == [("correct", 1, "")]
